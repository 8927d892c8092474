// Signs that anime draws beside a face: sparkles, an anger mark, notes, dots, lines of surprise.

import { curve, ellipse, fill, ink, outline, WEIGHT } from "./curve.js";

const SIGN_EDGE = "#fff6e6"; // light, so that a sign stands out from hair and from a dark ground

function glint(x, y, reach) {
  const [r, q] = [reach, reach * 0.2];
  return curve([[x, y - r, 1], [x + q, y - q], [x + r * 0.72, y, 1], [x + q, y + q], [x, y + r, 1], [x - q, y + q], [x - r * 0.72, y, 1], [x - q, y - q]], true, 5);
}

const twinkle = (seconds, phase) => 0.72 + 0.28 * Math.sin(seconds * 3.4 + phase);

// effect -> how to draw it at `amount` (0 to 1) and a moment; `on` places head points
const EFFECTS = {
  sparkles(ctx, on, amount, seconds) {
    const spots = [[-330, 330, 66], [-392, 440, 34], [-296, 212, 32], [404, 620, 54], [424, 724, 30], [-330, 560, 28]];
    for (const [k, [x, y, reach]] of spots.entries()) {
      const shape = on(glint(x, y, reach * amount * twinkle(seconds, k * 1.9)), 60);
      fill(ctx, shape, "#ffd65a");
      outline(ctx, shape, 4, "#b3541e");
    }
  },
  // a pair of quavers under a beam, and a single one with its flag
  notes(ctx, on, amount, seconds) {
    for (const [x, y, size, phase, paired] of [[-372, 262, 1.25, 0, 1], [-404, 442, 1, 2, 0], [446, 690, 0.95, 4, 1]]) {
      const [sway, tilt] = [10 * Math.sin(seconds * 2.2 + phase), 0.14 * Math.sin(seconds * 2.2 + phase + 1)];
      const scale = size * amount;
      const at = ([u, v, corner]) => [x + sway + scale * (u - v * tilt), y + scale * (v + u * tilt), corner];
      const head = (u, v) => on(curve([[u - 21, v + 5], [u - 10, v - 12], [u + 16, v - 13], [u + 21, v - 4], [u + 9, v + 12], [u - 14, v + 14]].map(at), true, 5), 60);
      const bar = (anchors) => on(curve(anchors.map(at), true, 8), 60);
      const stem = (u, v) => bar([[u + 11, v, 1], [u + 11, -84, 1], [u + 21, -84, 1], [u + 21, v, 1]]);
      const parts = paired
        ? [stem(-28, 0), stem(34, -12), bar([[-17, -86, 1], [55, -100, 1], [55, -76, 1], [-17, -62, 1]]), head(-28, 4), head(34, -8)]
        : [stem(0, 0), bar([[11, -86, 1], [22, -62], [46, -46], [42, -10, 1], [34, -32], [11, -48, 1]]), head(0, 4)];
      for (const part of parts) outline(ctx, part, 20 * amount, SIGN_EDGE);
      for (const part of parts) fill(ctx, part, paired ? "#ffb03a" : "#ff7f6b");
    }
  },
  // an anger mark beside the head, on a light edge: red on red hair and dark grounds would be lost
  anger(ctx, on, amount, seconds) {
    const beat = amount * (1 + 0.07 * Math.sin(seconds * 7));
    const line = (k, reach) => {
      const angle = (k * Math.PI) / 2 + 0.3;
      const at = (u, v) => [-352 + beat * (u * Math.cos(angle) - v * Math.sin(angle)), 214 + beat * (u * Math.sin(angle) + v * Math.cos(angle))];
      return on(curve([at(14, reach), at(17, 24), at(24, 17), at(reach, 14)], false, 2), 90);
    };
    for (const [colour, width, reach] of [[SIGN_EDGE, 35, 71], ["#ee1f35", 20, 62]]) {
      ctx.fillStyle = colour;
      for (let k = 0; k < 4; k++) ink(ctx, line(k, reach), width * amount, WEIGHT.round);
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
