// What she is drawn with on this page: a model that was dropped here, the one of the settings, or the puppet.

import { Notice } from "./notice.js";
import { forget, keep, kept } from "./vrm/kept.js";

const ADDRESS = "/model.vrm";
const STANDS_IN = "The puppet stands in.";
const FAULTY = `The model of the settings cannot be shown; "python launcher.py --check" says why. ${STANDS_IN}`;
const NO_WEBGL = "A model needs WebGL 2, which this browser does not have or has switched off.";

export class Wardrobe {
  // `wear` is called with each new figure; `look.model`: "none", "there" or "faulty", what /theme.json says of the settings' own.
  constructor(host, look, wear) {
    this.host = host;
    this.look = look;
    this.wear = wear;
    this.figure = null;
    this.asked = 0; // only what was asked for last is put on, however long each takes to load
    this.notice = new Notice(host);
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault(); // else the browser leaves the page for the file
      const file = event.dataTransfer?.files[0];
      if (file) this.drop(file);
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Delete") this.undrop();
    });
  }

  // Resolves once the puppet is there; a model is not waited for, words and chat go on while it loads.
  async open() {
    const dropped = await kept();
    if (!dropped && this.look.model !== "there") {
      if (this.look.model === "faulty") this.notice.say(FAULTY);
      await this.draw();
      return;
    }
    this.load(dropped);
  }

  async load(dropped) {
    const asked = ++this.asked;
    let fault = "";
    if (dropped) {
      fault = await this.put(dropped.bytes, dropped.name, asked);
      if (!fault || asked !== this.asked) return;
    }
    if (this.look.model === "there" && (!dropped || fault !== NO_WEBGL)) {
      const bytes = await fetched();
      fault = bytes ? await this.put(bytes, "The model of the settings", asked) : FAULTY;
      if (!fault) return;
    }
    if (asked !== this.asked) return;
    this.notice.say(fault.endsWith(STANDS_IN) ? fault : `${fault} ${STANDS_IN}`);
    await this.draw();
  }

  async drop(file) {
    const asked = ++this.asked;
    const bytes = await file.arrayBuffer().catch(() => new ArrayBuffer(0));
    const fault = await this.put(bytes, file.name, asked);
    if (asked !== this.asked) return;
    if (fault) {
      this.notice.say(fault);
      if (!this.figure) this.load(null); // it was dropped while another one was loading
      return;
    }
    const stays = await keep(file.name, bytes);
    this.notice.say(stays ? `${file.name} stays on this page until you press Delete.` : `${file.name} is shown until this page is closed.`);
  }

  async undrop() {
    if (!(await kept())) return;
    await forget();
    await this.open();
  }

  async draw() {
    const asked = ++this.asked;
    const [{ Puppet }, { THEME }] = await Promise.all([import("./puppet/puppet.js"), import("./puppet/palette.js")]);
    const colours = Object.entries(this.look)
      .map(([key, value]) => [key, String(value).replace(/^#(.)(.)(.)$/, "#$1$1$2$2$3$3")])
      .filter(([key, value]) => Object.hasOwn(THEME, key) && /^#[0-9a-f]{6}$/i.test(value));
    if (asked === this.asked) this.change(new Puppet(this.host, { theme: Object.fromEntries(colours) }));
  }

  // Returns one sentence when the bytes cannot be shown, "" when they are.
  async put(bytes, name, asked) {
    if (!hasWebGL()) return NO_WEBGL;
    try {
      const { VrmFigure } = await import("./vrm/figure.js");
      const figure = await VrmFigure.made(this.host, bytes);
      if (asked === this.asked) this.change(figure);
      else figure.close();
      return "";
    } catch (error) {
      return `${name} cannot be shown: ${error.message.replace(/\.$/, "")}.`;
    }
  }

  change(figure) {
    this.figure?.close();
    this.figure = figure;
    this.wear(figure);
  }
}

function hasWebGL() {
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext(); // a browser gives a page only a few
  return context !== null;
}

async function fetched() {
  const token = new URLSearchParams(location.search).get("token");
  const answer = await fetch(token === null ? ADDRESS : `${ADDRESS}?${new URLSearchParams({ token })}`).catch(() => null);
  return answer?.ok ? answer.arrayBuffer().catch(() => null) : null;
}
