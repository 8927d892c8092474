// Every page but the control page: shows the parts that its document has a place for.

import { AudioClock } from "./audio_clock.js";
import { Avatar } from "./avatar.js";
import { Captions } from "./captions.js";
import { Chat } from "./chat.js";
import { Feed } from "./feed.js";
import { Notice } from "./notice.js";
import { Status } from "./status.js";
import { theme } from "./theme.js";

const hidden = (new URLSearchParams(location.search).get("hide") ?? "").split(",");
const place = (name) => (hidden.includes(name) ? null : document.querySelector(`.${name}`));

const look = await theme();
if (look.refused) new Notice(document.body).keep(look.refused);
const clock = new AudioClock();
const captions = place("captions") && new Captions(place("captions"), clock);
const chat = place("chat") && new Chat(place("chat"), look.name);
const status = place("status") && new Status(place("status"));
const avatar = place("avatar") && (await Avatar.made(place("avatar"), clock, look));

const WANTED = [
  [captions || avatar, ["speech.timeline", "speech.finished"]],
  [captions || avatar || chat, ["speech.progress"]],
  [avatar, ["avatar.mouth", "avatar.mood"]],
  [chat || avatar, ["chat.message"]],
  [chat, ["chat.retracted"]],
  [status, ["sys.processes"]],
  [true, ["turn.state"]],
];
const topics = WANTED.flatMap(([wanted, names]) => (wanted ? names : []));

let director = null; // the session whose turns are shown

function rest() {
  avatar?.turn({ phase: "idle" });
}

function silence() {
  clock.reset();
  avatar?.shut();
}

const feed = new Feed(
  topics,
  {
    hello(message) {
      document.documentElement.dataset.session = message.session;
      silence();
      clock.restart();
      captions?.clear();
      chat?.clear();
      chat?.forget(message.cleared);
    },
    live() {
      document.documentElement.dataset.live = "yes";
    },
    down() {
      delete document.documentElement.dataset.live;
      silence();
      captions?.clear();
      status?.down();
    },
    clear(message) {
      silence();
      captions?.clear();
      chat?.forget(message.turns);
    },
    epoch() {
      if (captions?.open) captions.clear(); // she was interrupted: what she had not said is not shown
      silence();
    },
    source_lost(message) {
      if (message.source === "director" && message.session === director) {
        director = null; // nothing is thought of any more; what the voice has got is still said
        status?.say("idle");
        if (avatar?.phase === "thinking") rest();
      }
      if (message.source !== "tts") return;
      silence();
      clock.restart();
      captions?.finish();
      if (director === null) rest();
    },
    "speech.timeline"(timeline) {
      captions?.timeline(timeline);
      avatar?.timeline(timeline);
    },
    "speech.progress"(progress, message, at_ms) {
      clock.progress(progress, message.mono_ms, at_ms);
      captions?.progress(progress, at_ms);
      chat?.progress(progress);
      avatar?.progress(progress);
    },
    "speech.finished"() {
      silence();
      captions?.finish();
      if (director === null) rest(); // nobody is there to say that the turn is over
    },
    "avatar.mouth"(mouth, _, at_ms) {
      avatar?.mouth(mouth, at_ms);
    },
    "avatar.mood"(mood, message) {
      avatar?.mood(mood, message.cause === null);
    },
    "chat.message"(message, _, at_ms) {
      chat?.message(message);
      avatar?.heard(at_ms);
    },
    "chat.retracted"(retraction) {
      chat?.retracted(retraction);
    },
    "turn.state"(state, message) {
      director = message.session;
      if (state.end === "retracted" && captions?.turn === state.turn) captions.clear(); // her last line stays a while
      chat?.turn(state);
      status?.turn(state);
      avatar?.turn(state);
      captions?.state(state);
    },
    "sys.processes"(processes) {
      status?.processes(processes);
    },
  },
  chat ? 20 : 1,
);

function frame(now_ms) {
  captions?.update(now_ms);
  avatar?.update(now_ms);
  requestAnimationFrame(frame);
}
if (captions || avatar) requestAnimationFrame(frame);
globalThis.akane = { feed, clock, captions, chat, status, avatar };
