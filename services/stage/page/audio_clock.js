// Where the voice is now: `speech.progress` gives a position ten times a second, the page's clock what is between.

const KEPT = 64;
const LONGEST_GUESS_MS = 400; // no progress for so long: the sound has stopped

export class AudioClock {
  constructor() {
    this.restart();
  }

  // Another process speaks from now on, perhaps on another machine.
  restart() {
    this.reset();
    this.delays_ms = [];
  }

  reset() {
    this.chunk = null;
    this.anchor_ms = 0;
    this.position_s = 0;
  }

  // Page time at which a message was sent: the fastest of the last messages tells how the two clocks differ.
  sent_ms(mono_ms, at_ms) {
    this.delays_ms.push(at_ms - mono_ms);
    if (this.delays_ms.length > KEPT) this.delays_ms.shift();
    return mono_ms + Math.min(...this.delays_ms);
  }

  // `progress` as published, `mono_ms` of its header, `at_ms` of its arrival.
  progress(progress, mono_ms, at_ms) {
    this.chunk = progress.chunk;
    this.position_s = progress.position_s;
    this.anchor_ms = this.sent_ms(mono_ms, at_ms);
  }

  // Seconds into the chunk that sounds; null while none does.
  position(now_ms) {
    if (this.chunk === null) return null;
    const since_ms = Math.max(0, Math.min(LONGEST_GUESS_MS, now_ms - this.anchor_ms));
    return this.position_s + since_ms / 1000;
  }
}
