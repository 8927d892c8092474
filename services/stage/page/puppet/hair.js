// Strands of hair: where each one is this frame, and how it is painted.

import { fill, ink, spline, WEIGHT } from "./curve.js";
import { Chain } from "./springs.js";

const PIECES = 20; // points along each side

/** Spine resampled evenly to PIECES points, with half-widths and depths. */
function rest(strand) {
  const dense = spline(strand.spine.map(([x, y]) => [x, y]), false, 4);
  const widths = spline(strand.spine.map(([, , w], i) => [i * 40, w]), false, 2);
  const n = dense.length / 2;
  const lengths = new Float32Array(n);
  const anchorAt = [0];
  let next = 1;
  for (let i = 1; i < n; i++) {
    lengths[i] = lengths[i - 1] + Math.hypot(dense[2 * i] - dense[2 * i - 2], dense[2 * i + 1] - dense[2 * i - 1]);
    const anchor = strand.spine[next];
    if (anchor && Math.hypot(dense[2 * i] - anchor[0], dense[2 * i + 1] - anchor[1]) < 0.01) {
      anchorAt.push(lengths[i]);
      next++;
    }
  }
  const spine = new Float32Array(PIECES * 2);
  const half = new Float32Array(PIECES);
  const depths = new Float32Array(PIECES);
  for (let k = 0, i = 0; k < PIECES; k++) {
    const s = k / (PIECES - 1);
    const length = s * lengths[n - 1];
    while (i < n - 1 && lengths[i] < length - 1e-3) i++;
    [spine[2 * k], spine[2 * k + 1]] = [dense[2 * i], dense[2 * i + 1]];
    let a = 0;
    while (a < anchorAt.length - 2 && anchorAt[a + 1] < lengths[i]) a++;
    const share = (a + (lengths[i] - anchorAt[a]) / (anchorAt[a + 1] - anchorAt[a])) / (anchorAt.length - 1);
    half[k] = Math.max(0, widths[2 * Math.min(widths.length / 2 - 1, Math.round(share * (widths.length / 2 - 1))) + 1]);
    depths[k] = strand.depth[0] + (strand.depth[1] - strand.depth[0]) * s;
  }
  half[PIECES - 1] = strand.spine.at(-1)[2];
  return { spine, half, depths };
}

export class Strand {
  constructor(strand) {
    Object.assign(this, { hang: 0.6, gain: 1, shade: 1 }, strand, rest(strand));
    this.chain = new Chain({ hertz: this.hertz, damping: 0.3 });
    this.now = new Float32Array(PIECES * 2);
    this.left = new Float32Array(PIECES * 2);
    this.right = new Float32Array(PIECES * 2);
    this.shape = new Float32Array(PIECES * 4);
    this.strip = new Float32Array(PIECES * 4);
    this.phase = this.spine[0] * 0.017 + this.spine[1] * 0.006;
  }

  /** One spring step with the head as `rig` holds it. */
  step(rig) {
    const [x, y] = rig.headPoint(this.spine[0], this.spine[1] + 160, this.depths[0]);
    this.chain.step(x, y);
  }

  /** Place the strand: rig, springs, gravity, `wind` (units at the tip) and `bend` (radians about the root). */
  place(rig, wind = 0, bend = 0) {
    const { now, half, left, right, shape } = this;
    rig.head(this.spine, this.depths, now);
    const [rootX, rootY] = [now[0], now[1]];
    for (let k = 0; k < PIECES; k++) {
      const s = k / (PIECES - 1);
      const turn = -rig.pose.roll * this.hang * Math.min(1, s * 1.6) + bend * s;
      const [x, y] = [now[2 * k] - rootX, now[2 * k + 1] - rootY];
      const weight = s * s * (3 - 2 * s) * this.gain;
      now[2 * k] = rootX + x * Math.cos(turn) - y * Math.sin(turn) + this.chain.lagAt(s, 0) * weight + wind * s * s;
      now[2 * k + 1] = rootY + x * Math.sin(turn) + y * Math.cos(turn) + this.chain.lagAt(s, 1) * weight * 0.6;
    }
    for (let k = 0; k < PIECES; k++) {
      const [a, b] = [2 * Math.max(0, k - 1), 2 * Math.min(PIECES - 1, k + 1)];
      const [dx, dy] = [now[b] - now[a], now[b + 1] - now[a + 1]];
      const reach = half[k] / (Math.hypot(dx, dy) || 1);
      left[2 * k] = now[2 * k] + dy * reach;
      left[2 * k + 1] = now[2 * k + 1] - dx * reach;
      right[2 * k] = now[2 * k] - dy * reach;
      right[2 * k + 1] = now[2 * k + 1] + dx * reach;
    }
    shape.set(left);
    for (let k = 0; k < PIECES; k++) {
      shape[2 * (PIECES + k)] = right[2 * (PIECES - 1 - k)];
      shape[2 * (PIECES + k) + 1] = right[2 * (PIECES - 1 - k) + 1];
    }
  }

  /** The ribbon of the strand between two shares of its width (-1 left edge, 1 right edge), each a function of s. */
  between(from, to) {
    const { left, right, strip } = this;
    for (let k = 0; k < PIECES; k++) {
      const s = k / (PIECES - 1);
      const [a, b] = [(from(s) + 1) / 2, (to(s) + 1) / 2];
      for (const axis of [0, 1]) {
        const i = 2 * k + axis;
        strip[i] = left[i] + (right[i] - left[i]) * a;
        strip[2 * (2 * PIECES - 1 - k) + axis] = left[i] + (right[i] - left[i]) * b;
      }
    }
    return strip;
  }

  /** Paint: base, shade along one side, light band, ink. `tone` is { base, shade, light, line, weight }. */
  paint(ctx, tone) {
    fill(ctx, this.shape, tone.base);
    // on the screen a strand's `left` edge lies to the right of a spine that runs down
    const side = -this.shade;
    if (side !== 0) {
      const inner = (s) => side * (0.2 + 0.5 * Math.max(0, 1 - s * 1.5) - 0.18 * Math.sin(s * 5));
      fill(ctx, this.between(inner, () => side), tone.shade);
    }
    if (this.shine) this.paintShine(ctx, tone.light);
    ctx.fillStyle = tone.line;
    ink(ctx, this.left, tone.weight * (side < 0 ? 1.25 : 0.8), WEIGHT.hair);
    ink(ctx, this.right, tone.weight * (side > 0 ? 1.25 : 0.8), WEIGHT.hair);
  }

  /** A band of light across the strand with a jagged lower rim. */
  paintShine(ctx, colour) {
    const [from, to] = this.shine;
    const at = (s, u) => {
      const k = Math.min(PIECES - 2, Math.floor(s * (PIECES - 1)));
      const t = s * (PIECES - 1) - k;
      return [0, 1].map((axis) => {
        const [l, r] = [this.left, this.right].map((e) => e[2 * k + axis] * (1 - t) + e[2 * k + 2 + axis] * t);
        return l + ((r - l) * (u + 1)) / 2;
      });
    };
    const reach = to - from;
    const rim = [[-0.72, 0.25], [-0.5, 1], [-0.32, 0.5], [-0.05, 1.25], [0.18, 0.55], [0.42, 0.95], [0.72, 0.2]];
    ctx.fillStyle = colour;
    ctx.beginPath();
    for (const [u, share] of rim) ctx.lineTo(...at(from + reach * share, u));
    for (const [u, share] of rim.slice(1, -1).reverse()) ctx.lineTo(...at(from - reach * 0.35 * share + reach * 0.2, u));
    ctx.closePath();
    ctx.fill();
  }
}
