// Springs in fixed steps of time: the same inputs give the same motion at any frame rate.

export const STEP_S = 1 / 120;

/** Share of the way an eased value goes in one step, for a time constant in seconds. */
export const ease = (seconds) => 1 - Math.exp(-STEP_S / seconds);

/**
 * A chain of points that trail behind a root, each pulled to the one before it by a damped spring.
 * At rest all of them lie on the root; `lag` tells how far each is from it, [x1, y1, x2, y2, …].
 */
export class Chain {
  constructor({ links = 3, hertz = 2.2, damping = 0.32 } = {}) {
    this.links = links;
    this.omega = 2 * Math.PI * hertz;
    this.damping = damping;
    this.at = null;
    this.speed = new Float64Array(links * 2);
    this.lag = new Float64Array(links * 2);
  }

  /** One step of STEP_S with the root at (x, y); the first call starts at rest. Semi-implicit Euler. */
  step(x, y) {
    if (!this.at) this.at = Float64Array.from({ length: this.links * 2 }, (_, i) => (i % 2 ? y : x));
    const pull = this.omega * this.omega;
    const drag = 2 * this.damping * this.omega;
    for (let i = 0; i < this.at.length; i++) {
      const root = i % 2 ? y : x;
      const target = i < 2 ? root : this.at[i - 2];
      this.speed[i] += (pull * (target - this.at[i]) - drag * this.speed[i]) * STEP_S;
      this.at[i] += this.speed[i] * STEP_S;
      this.lag[i] = this.at[i] - root;
    }
  }

  /** Lag at a share `s` of the strand (0 root, 1 tip) on one axis (0 x, 1 y). */
  lagAt(s, axis) {
    const place = s * this.links;
    const k = Math.min(this.links - 1, Math.floor(place));
    const before = k === 0 ? 0 : this.lag[2 * (k - 1) + axis];
    return before + (this.lag[2 * k + axis] - before) * Math.min(1, place - k);
  }

  /** Largest speed of any link in units a second: near 0 at rest. */
  get unrest() {
    return Math.max(...this.speed.map(Math.abs));
  }
}
