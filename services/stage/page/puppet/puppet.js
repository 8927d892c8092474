// The puppet: an actor whose springs and painted parts follow what it does.

import { Actor } from "./actor.js";
import { paint } from "./painting.js";
import { palette } from "./palette.js";
import { STRANDS } from "./hair_shapes.js";
import { Strand } from "./hair.js";
import { RIBBON_ROOT } from "./ribbon.js";
import { Rig } from "./rig.js";
import { Chain } from "./springs.js";

export class Puppet extends Actor {
  /** Fills `host` with a transparent canvas. `theme`: see palette.js. */
  constructor(host, { theme = {}, seed = 7 } = {}) {
    super(seed);
    this.colours = palette(theme);
    this.host = host;
    this.canvas = document.createElement("canvas");
    host.append(this.canvas);
    this.ctx = this.canvas.getContext("2d");
    this.rig = new Rig();
    this.strands = STRANDS.map((strand) => new Strand(strand));
    this.ribbonTail = new Chain({ hertz: 1.9, damping: 0.28 });
    this.scarf = new Chain({ hertz: 2.3, damping: 0.3, links: 2 });
  }

  /** Fastest part of all springs, units a second: near 0 at rest. */
  get unrest() {
    return Math.max(...this.strands.map((s) => s.chain.unrest), this.ribbonTail.unrest, this.scarf.unrest);
  }

  /** Advance to `nowMs` and paint. The picture depends on the times and values given and on the seed, not on the frame rate. */
  update(nowMs) {
    this.advance(nowMs);
    paint(this, nowMs / 1000);
  }

  step(seconds) {
    super.step(seconds);
    this.rig.set(this.stance);
    for (const strand of this.strands) strand.step(this.rig);
    this.ribbonTail.step(...this.rig.headPoint(RIBBON_ROOT.x, RIBBON_ROOT.y + 160, RIBBON_ROOT.depth));
    this.scarf.step(...this.rig.body([0, 980], 45, [0, 0]));
  }

  /** Leave the page. */
  close() {
    this.canvas.remove();
  }
}
