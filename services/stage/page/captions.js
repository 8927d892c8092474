// Captions: the words of the chunk that sounds, each shown when half of it has been heard.

const HOLD_MS = 2500; // the last line stays so long after she has ended

export class Captions {
  constructor(host, clock) {
    this.host = host;
    this.clock = clock;
    this.timelines = new Map();
    this.clear();
  }

  clear() {
    clearTimeout(this.ending);
    this.host.replaceChildren();
    this.timelines.clear();
    this.shown = null;
    this.open = false;
  }

  timeline(timeline) {
    if (timeline.turn !== this.turn) this.timelines.clear();
    this.turn = timeline.turn;
    this.timelines.set(timeline.chunk, timeline);
  }

  progress(progress, now_ms) {
    this.open = true;
    const name = `${progress.turn}/${progress.chunk}`;
    if (this.shown?.name !== name) this.show(name, progress);
    const words = this.shown.words;
    if (words.length === 0) this.shown.line.textContent = progress.heard; // the plan was missed
    for (const word of words.slice(0, progress.words_heard)) word.span.classList.add("heard");
    this.update(now_ms);
  }

  show(name, progress) {
    clearTimeout(this.ending);
    const line = document.createElement("div");
    line.className = "line";
    const plan = this.timelines.get(progress.chunk);
    const words = plan?.turn === progress.turn ? plan.words.map(spanOf) : [];
    words.forEach((word, index) => line.append(...(index ? [" ", word.span] : [word.span])));
    this.shown = { name, line, words, chunk: progress.chunk };
    this.host.replaceChildren(line);
  }

  update(now_ms) {
    if (!this.open || !this.shown || this.clock.chunk !== this.shown.chunk) return;
    const position_s = this.clock.position(now_ms);
    for (const word of this.shown.words) {
      if (position_s < word.middle_s) break;
      word.span.classList.add("heard");
    }
  }

  finish() {
    this.open = false;
    this.timelines.clear();
    clearTimeout(this.ending);
    this.ending = setTimeout(() => this.shown?.line.classList.add("over"), HOLD_MS);
  }
}

function spanOf(word) {
  const span = document.createElement("span");
  span.className = "word";
  span.textContent = word.text;
  return { span, middle_s: (word.start_s + word.end_s) / 2 };
}
