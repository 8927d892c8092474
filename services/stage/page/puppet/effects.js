// Signs that anime draws beside a face: sparkles, an anger mark, a tear, notes, dots, lines of surprise.

import { curve, ellipse, fill, ink, outline, WEIGHT } from "./curve.js";

const drop = (x, y, size) =>
  curve([[x, y - size * 1.5, 1], [x + size * 0.62, y - size * 0.3], [x + size * 0.7, y + size * 0.4], [x, y + size], [x - size * 0.7, y + size * 0.4], [x - size * 0.62, y - size * 0.3]], true, 5);

function glint(x, y, reach) {
  const [r, q] = [reach, reach * 0.2];
  return curve([[x, y - r, 1], [x + q, y - q], [x + r * 0.72, y, 1], [x + q, y + q], [x, y + r, 1], [x - q, y + q], [x - r * 0.72, y, 1], [x - q, y - q]], true, 5);
}

const twinkle = (seconds, phase) => 0.72 + 0.28 * Math.sin(seconds * 3.4 + phase);

// effect -> how to draw it at `amount` (0 to 1) and a moment; `on` places head points
const EFFECTS = {
  sparkles(ctx, on, amount, seconds) {
    const spots = [[-330, 330, 66], [-392, 440, 34], [-296, 212, 32], [372, 640, 54], [310, 730, 30], [-330, 560, 28]];
    for (const [k, [x, y, reach]] of spots.entries()) {
      const shape = on(glint(x, y, reach * amount * twinkle(seconds, k * 1.9)), 60);
      fill(ctx, shape, "#ffd65a");
      outline(ctx, shape, 4, "#b3541e");
    }
  },
  notes(ctx, on, amount, seconds) {
    for (const [x, y, size, phase] of [[-322, 300, 1, 0], [-372, 424, 0.72, 2]]) {
      const sway = 8 * Math.sin(seconds * 2.2 + phase);
      const at = (dx, dy) => [x + sway + dx * size * amount, y + dy * size * amount];
      ctx.fillStyle = "#ff8a5c";
      for (const line of [[at(12, 8), at(20, -62)], [at(20, -62), at(40, -50), at(46, -30)]]) ink(ctx, on(curve(line, false, 6), 60), 8 * amount, WEIGHT.even);
      fill(ctx, on(ellipse(...at(0, 10), 16 * size * amount, 12 * size * amount), 60), "#ff8a5c");
    }
  },
  tear(ctx, on, amount, seconds) {
    for (const [side, size] of [[-1, 30], [1, 25]]) {
      const shape = on(drop(side * 148, 540 + 5 * Math.sin(seconds * 1.3 + side), size * amount), 105);
      fill(ctx, shape, "#b9e8fb");
      outline(ctx, shape, 3.6, "#3a7ba0");
    }
  },
  anger(ctx, on, amount, seconds) {
    const beat = amount * (1 + 0.07 * Math.sin(seconds * 7));
    ctx.fillStyle = "#e8212f";
    for (let k = 0; k < 4; k++) {
      const angle = (k * Math.PI) / 2 + 0.3;
      const at = (u, v) => [-262 + beat * (u * Math.cos(angle) - v * Math.sin(angle)), 236 + beat * (u * Math.sin(angle) + v * Math.cos(angle))];
      ink(ctx, on(curve([at(11, 48), at(13, 17), at(17, 13), at(48, 11)], false, 4), 90), 13 * amount, WEIGHT.taper);
    }
  },
  bang(ctx, on, amount, seconds) {
    const [cos, sin] = [Math.cos(-0.3), Math.sin(-0.3)];
    const at = ([x, y, corner]) => [-330 + amount * (x * cos - y * sin), 292 + 4 * Math.sin(seconds * 5) + amount * (x * sin + y * cos), corner];
    for (const [shift, size] of [[0, 1], [62, 0.82]]) {
      const bar = [[-19, -108, 1], [19, -108, 1], [6, -8, 1], [-6, -8, 1]].map(([x, y, corner]) => [shift + x * size, y * size, corner]);
      const shape = on(curve(bar.map(at), true, 6), 20);
      const [x, y] = at([shift, 16 * size]);
      const dot = on(ellipse(x, y, 13 * size * amount, 13 * size * amount, 20), 20);
      for (const part of [shape, dot]) {
        fill(ctx, part, "#ffce3a");
        outline(ctx, part, 6, "#9c3f16");
      }
    }
  },
  dots(ctx, on, amount, seconds) {
    for (let k = 0; k < 3; k++) {
      const size = amount * (13 + 5 * k + 3 * Math.sin(seconds * 3 - k * 0.9));
      const dot = on(ellipse(-300 - k * 44, 330 - k * 56, size, size), 40);
      fill(ctx, dot, "#fff6e6");
      outline(ctx, dot, 5, "#5a2438");
    }
  },
};

/** Draw every effect whose number in `face` is above 0. */
export function paintEffects(ctx, rig, face, seconds) {
  const on = (points, depth) => rig.head(points, depth);
  for (const [name, paint] of Object.entries(EFFECTS)) {
    if (face[name] > 0.03) paint(ctx, on, Math.min(1, face[name]), seconds);
  }
}
