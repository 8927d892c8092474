// Strands of hair: where each one is this frame, and how it is painted.

import { fill, ink, spline, take, WEIGHT } from "./curve.js";
import { Chain } from "./springs.js";

const PIECES = 24; // points along each side

/** Spine resampled evenly to PIECES points, with half-widths and depths. */
function rest(strand) {
  const dense = spline(strand.spine.map(([x, y]) => [x, y]), false, 2);
  const n = dense.length / 2;
  const lengths = new Float32Array(n);
  for (let i = 1; i < n; i++) {
    lengths[i] = lengths[i - 1] + Math.hypot(dense[2 * i] - dense[2 * i - 2], dense[2 * i + 1] - dense[2 * i - 1]);
  }
  // half-widths as a curve over the length: an anchor lies where the dense spine comes nearest to it
  const profile = strand.spine.map(([x, y, half]) => {
    let nearest = 0;
    for (let i = 0; i < n; i++) {
      const away = (k) => Math.hypot(dense[2 * k] - x, dense[2 * k + 1] - y);
      if (away(i) < away(nearest)) nearest = i;
    }
    return [lengths[nearest], half];
  });
  const widths = spline(profile, false, 2);
  const [spine, half, depths] = [new Float32Array(PIECES * 2), new Float32Array(PIECES), new Float32Array(PIECES)];
  for (let k = 0, i = 0, w = 0; k < PIECES; k++) {
    const s = k / (PIECES - 1);
    const length = s * lengths[n - 1];
    while (i < n - 2 && lengths[i + 1] < length) i++;
    const t = Math.min(1, (length - lengths[i]) / (lengths[i + 1] - lengths[i]));
    for (const axis of [0, 1]) spine[2 * k + axis] = dense[2 * i + axis] * (1 - t) + dense[2 * i + 2 + axis] * t;
    while (w < widths.length / 2 - 2 && widths[2 * w + 2] < length) w++;
    const u = Math.min(1, (length - widths[2 * w]) / (widths[2 * w + 2] - widths[2 * w]));
    half[k] = Math.max(0, widths[2 * w + 1] * (1 - u) + widths[2 * w + 3] * u);
    depths[k] = strand.depth[0] + (strand.depth[1] - strand.depth[0]) * s;
  }
  return { spine, half, depths };
}

// lower rim of the light band, in pairs of curve control and end: places across the strand and along the band
const SHINE = [
  [-0.66, 0.3, -0.52, 1.05], [-0.46, 0.4, -0.26, 0.3], [-0.1, 0.42, 0.02, 1.6], [0.1, 0.42, 0.32, 0.22], [0.46, 0.3, 0.54, 0.85], [0.6, 0.2, 0.82, -0.05],
];

const UPPER = [0, -0.4, -0.84, 0.05]; // its upper rim: a plain arc back

export class Strand {
  constructor(strand) {
    Object.assign(this, { hang: 0.6, gain: 1, shade: 1 }, strand, rest(strand));
    this.chain = new Chain({ hertz: this.hertz, damping: 0.3 });
    this.now = new Float32Array(PIECES * 2);
    this.left = new Float32Array(PIECES * 2);
    this.right = new Float32Array(PIECES * 2);
    this.shape = new Float32Array(PIECES * 4);
    this.strip = new Float32Array(PIECES * 4);
    this.broad = Math.max(...this.half) > 20;
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
      const x = now[2 * k] - rootX;
      const y = now[2 * k + 1] - rootY;
      const weight = s * s * (3 - 2 * s) * this.gain;
      now[2 * k] = rootX + x * Math.cos(turn) - y * Math.sin(turn) + this.chain.lagAt(s, 0) * weight + wind * s * s;
      now[2 * k + 1] = rootY + x * Math.sin(turn) + y * Math.cos(turn) + this.chain.lagAt(s, 1) * weight * 0.6;
    }
    for (let k = 0; k < PIECES; k++) {
      const a = 2 * Math.max(0, k - 1);
      const b = 2 * Math.min(PIECES - 1, k + 1);
      const dx = now[b] - now[a];
      const dy = now[b + 1] - now[a + 1];
      const reach = half[k] / (Math.sqrt(dx * dx + dy * dy) || 1);
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
      const a = (from(s) + 1) / 2;
      const b = (to(s) + 1) / 2;
      for (let axis = 0; axis < 2; axis++) {
        const i = 2 * k + axis;
        strip[i] = left[i] + (right[i] - left[i]) * a;
        strip[2 * (2 * PIECES - 1 - k) + axis] = left[i] + (right[i] - left[i]) * b;
      }
    }
    return strip;
  }

  /** Paint: base, shade along one side, light band, ink. `tone` is { base, shade, tip, tipShade, light, line, weight }. */
  paint(ctx, tone) {
    fill(ctx, this.shape, this.along(ctx, tone.base, tone.tip));
    // on the screen a strand's `left` edge lies to the right of a spine that runs down
    const side = -this.shade;
    if (side !== 0) {
      const inner = (s) => side * (0.2 + 0.5 * Math.max(0, 1 - s * 1.5) - 0.18 * Math.sin(s * 5));
      fill(ctx, this.between(inner, () => side), this.along(ctx, tone.shade, tone.tipShade));
    }
    if (this.shine) this.paintShine(ctx, tone.light);
    ctx.fillStyle = tone.line;
    if (this.shade !== 0 && this.broad) this.paintFlow(ctx, tone.weight * 0.55);
    const weight = this.layer === "front" ? WEIGHT.fringe : WEIGHT.hair;
    ink(ctx, this.left, tone.weight * (side < 0 ? 1.25 : 0.8), weight);
    ink(ctx, this.right, tone.weight * (side > 0 ? 1.25 : 0.8), weight);
  }

  /** A colour that runs from `base` to `tip` over the strand's lower half. */
  along(ctx, base, tip) {
    if (!tip) return base;
    const n = this.now.length;
    const gradient = ctx.createLinearGradient(this.now[0], this.now[1], this.now[n - 2], this.now[n - 1]);
    gradient.addColorStop(0.45, base);
    gradient.addColorStop(1, tip);
    return gradient;
  }

  /** A band of light across the strand: an arc above, points along the hair below. */
  paintShine(ctx, colour) {
    const [from, to] = this.shine;
    const { left, right } = this;
    let [x, y] = [0, 0];
    // the point at a share of the band and a place across the strand
    const seek = (share, u) => {
      const place = Math.min(0.999, Math.max(0, from + (to - from) * share)) * (PIECES - 1);
      const k = 2 * Math.floor(place);
      const t = place - k / 2;
      const across = (u + 1) / 2;
      x = (left[k] * (1 - t) + left[k + 2] * t) * (1 - across) + (right[k] * (1 - t) + right[k + 2] * t) * across;
      y = (left[k + 1] * (1 - t) + left[k + 3] * t) * (1 - across) + (right[k + 1] * (1 - t) + right[k + 3] * t) * across;
    };
    ctx.fillStyle = colour;
    ctx.beginPath();
    seek(0.05, -0.84);
    ctx.moveTo(x, y);
    for (const [controlU, control, u, end] of [...SHINE, UPPER]) {
      seek(control, controlU);
      const [controlX, controlY] = [x, y];
      seek(end, u);
      ctx.quadraticCurveTo(controlX, controlY, x, y);
    }
    ctx.fill();
  }

  /** Thin lines within the strand that follow its flow. */
  paintFlow(ctx, weight) {
    const wander = Math.sin(this.phase * 9);
    const lines = this.layer === "front" ? [[0.3 * wander, 0.56, 0.92]] : [[0.24 + 0.2 * wander, 0.4, 0.9], [-0.4 + 0.2 * wander, 0.6, 0.95]];
    for (const [u, from, to] of lines) {
      const [first, last] = [2 * Math.round(from * (PIECES - 1)), 2 * Math.round(to * (PIECES - 1))];
      const line = take(last - first + 2);
      for (let i = first; i < last + 2; i++) line[i - first] = this.left[i] + ((this.right[i] - this.left[i]) * (u + 1)) / 2;
      ink(ctx, line, weight);
    }
  }
}
