// Captions: the words of the chunk that sounds, each shown when half of it has been heard.

const HOLD_MS = 2500; // the last line stays so long after she has ended
const VOICE_WAIT_MS = 1000; // what she says without being heard by then is shown to be read
const READING_MS = 60; // for each character of it

export class Captions {
  constructor(host, clock) {
    this.host = host;
    this.clock = clock;
    this.timelines = new Map();
    this.clear();
  }

  clear() {
    clearTimeout(this.ending);
    clearTimeout(this.waiting);
    this.host.replaceChildren();
    this.timelines.clear();
    this.shown = null;
    this.open = false;
    this.unheard = null;
  }

  timeline(timeline) {
    if (timeline.turn !== this.turn) this.timelines.clear();
    this.voice(timeline.turn);
    this.timelines.set(timeline.chunk, timeline);
  }

  progress(progress, now_ms) {
    this.open = true;
    this.voice(progress.turn);
    const name = `${progress.turn}/${progress.chunk}`;
    if (this.shown?.name !== name) this.show(name, progress);
    const words = this.shown.words;
    if (words.length === 0) this.shown.line.textContent = progress.heard; // the plan was missed
    for (const word of words.slice(0, progress.words_heard)) word.span.classList.add("heard");
    this.update(now_ms);
  }

  // This turn is heard: its words come with their sound.
  voice(turn) {
    this.turn = this.voiced = turn;
    if (this.unheard?.turn !== turn) return;
    clearTimeout(this.waiting);
    this.unheard = null;
  }

  // Without a voice the words are shown instead of heard.
  state(state) {
    if (state.turn === this.voiced) return;
    if (state.phase === "speaking") {
      if (this.unheard?.turn !== state.turn) {
        clearTimeout(this.waiting);
        this.waiting = setTimeout(() => this.read(), VOICE_WAIT_MS);
        this.unheard = { turn: state.turn, line: null };
      }
      this.unheard.text = state.text;
      if (this.unheard.line) this.read();
    } else if (state.phase === "done" && state.turn === this.unheard?.turn) {
      this.unheard.text = state.heard; // a voice that is there would have been heard before its end
      if (state.end === "interrupted" || state.end === "retracted" || !state.heard) this.clear();
      else this.readToTheEnd();
    }
  }

  read() {
    this.open = true;
    this.turn = this.unheard.turn;
    if (!this.unheard.line) this.unheard.line = this.put();
    this.unheard.line.textContent = this.unheard.text;
  }

  readToTheEnd() {
    clearTimeout(this.waiting);
    this.read();
    this.finish(Math.max(HOLD_MS, this.unheard.text.length * READING_MS));
    this.unheard = null;
  }

  // An empty line in the place of the one before.
  put() {
    clearTimeout(this.ending);
    const line = document.createElement("div");
    line.className = "line";
    this.shown = { line, words: [] };
    this.host.replaceChildren(line);
    return line;
  }

  show(name, progress) {
    const line = this.put();
    const plan = this.timelines.get(progress.chunk);
    const words = plan?.turn === progress.turn ? plan.words.map(spanOf) : [];
    words.forEach((word, index) => line.append(...(index ? [" ", word.span] : [word.span])));
    this.shown = { name, line, words, chunk: progress.chunk };
  }

  update(now_ms) {
    if (!this.open || !this.shown || this.clock.chunk !== this.shown.chunk) return;
    const position_s = this.clock.position(now_ms);
    for (const word of this.shown.words) {
      if (position_s < word.middle_s) break;
      word.span.classList.add("heard");
    }
  }

  finish(hold_ms = HOLD_MS) {
    this.open = false;
    this.timelines.clear();
    clearTimeout(this.ending);
    this.ending = setTimeout(() => this.shown?.line.classList.add("over"), hold_ms);
  }
}

function spanOf(word) {
  const span = document.createElement("span");
  span.className = "word";
  span.textContent = word.text;
  return { span, middle_s: (word.start_s + word.end_s) / 2 };
}
