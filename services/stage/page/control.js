// The control page: buttons that command her, her health and her latencies. The token comes with the page's URL.

import { Feed } from "./feed.js";
import { theme } from "./theme.js";

const MOODS = ["neutral", "happy", "excited", "shy", "sad", "surprised", "annoyed", "thinking"];
const token = new URLSearchParams(location.search).get("token");
const byId = (id) => document.getElementById(id);
const answer = byId("answer");
let mood = "neutral";
let director = null; // the session whose turns are shown

async function press(name, fields = {}) {
  let sentence = "";
  try {
    const response = await fetch(`/control/${name}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (!response.ok) sentence = (await response.json()).error;
  } catch {
    sentence = "The stage does not answer.";
  }
  answer.className = sentence ? "bad" : "";
  answer.textContent = sentence || `${name}: done`;
  return !sentence;
}

for (const name of ["panic", "interrupt", "unmute"]) byId(name).addEventListener("click", () => press(name));
byId("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = event.target.elements.text;
  if (field.value.trim() && (await press("say", { text: field.value, mood }))) field.value = "";
});
for (const name of MOODS) {
  const button = byId("moods").appendChild(document.createElement("button"));
  button.textContent = name;
  button.addEventListener("click", () => press("mood", { mood: name }));
}

function showMood(chosen) {
  mood = chosen;
  for (const button of byId("moods").children) button.className = button.textContent === chosen ? "chosen" : "";
}

function fill(list, rows) {
  list.replaceChildren(
    ...rows.flatMap(([name, text, is_bad]) => {
      const [term, value] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      value.textContent = text;
      value.className = is_bad ? "bad" : "";
      return [term, value];
    }),
  );
}

const services = new Map();
function showServices() {
  const rows = [...services].map(([name, row]) => [name, `${row.phase} ${row.detail}`, row.phase !== "ready"]);
  fill(byId("services"), rows);
}

new Feed(["turn.state", "avatar.mood", "show.muted", "sys."], {
  down() {
    byId("phase").textContent = "offline";
  },
  source_lost(message) {
    if (message.source === "director" && message.session === director) byId("phase").textContent = "no director";
  },
  "turn.state"(state, message) {
    director = message.session;
    byId("phase").textContent = `${state.phase}${state.queued ? ` · ${state.queued} waiting` : ""}`;
    const speed = state.tokens_per_s ? [["tokens/s", String(Math.round(state.tokens_per_s))]] : [];
    const rows = Object.entries(state.timings_ms).map(([name, ms]) => [name.replace("_", " "), `${Math.round(ms)} ms`]);
    if (rows.length) fill(byId("latencies"), [...rows, ...speed]);
  },
  "avatar.mood"(event) {
    showMood(event.mood);
  },
  "show.muted"(event) {
    byId("muted").hidden = !event.muted;
  },
  "sys.health"(health, message) {
    services.set(message.source, { phase: health.phase, detail: health.detail });
    showServices();
  },
  "sys.processes"(event) {
    for (const each of event.processes) {
      if (each.state !== "ready") services.set(each.name, { phase: each.state, detail: each.detail });
    }
    showServices();
  },
});
showMood(mood);
byId("name").textContent = (await theme()).name;
