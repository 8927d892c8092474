// Her big red ribbon: two loops, a knot, two springy tails. The loops droop and perk up with the mood.

import { curve, fill, ink, outline, reversed, trace, WEIGHT } from "./curve.js";
import { fade } from "./palette.js";

const KNOT = { x: 180, y: 180, tilt: 0.4, depth: 40 };

// the loop to the right, in the knot's frame; the left one mirrors it
const LOOP = [[6, -14], [60, -72], [130, -98], [176, -70], [180, -6], [150, 48], [92, 52], [40, 26], [6, 14]];
const INSIDE = [[176, -62], [184, -8], [152, 46], [126, 40], [140, -8], [150, -50]];
const TRIM = [[66, -64], [128, -84], [162, -62], [166, -8], [142, 36], [94, 40]];
const FOLDS = [[[14, -6], [54, -26], [92, -34]], [[14, 4], [48, 10], [84, 10]]];
const TAILS = [
  { from: [4, 10], spine: [[30, 66], [46, 150], [36, 232]], half: [11, 22, 30, 38] },
  { from: [14, 8], spine: [[64, 52], [104, 128], [134, 212]], half: [11, 23, 31, 40] },
];

const inPlace = (points, side, droop, scale) => {
  const angle = KNOT.tilt + side * droop;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return points.map(([x, y, corner]) => {
    const [px, py] = [side * x * scale, y * scale];
    return [KNOT.x + px * cos - py * sin, KNOT.y + px * sin + py * cos, corner];
  });
};

/** Tails, behind the side hair; `swing` is [x, y] of how far their ends trail. */
export function paintTails(ctx, rig, colours, swing) {
  for (const [k, tail] of TAILS.entries()) {
    const line = [tail.from, ...tail.spine].map(([x, y], i) => {
      const share = (i / 3) ** 2;
      return [KNOT.x + x + swing[0] * share, KNOT.y + y + swing[1] * share * 0.5];
    });
    const [left, right] = [[], []];
    line.forEach(([x, y], i) => {
      const [before, after] = [line[Math.max(0, i - 1)], line[Math.min(3, i + 1)]];
      const [dx, dy] = [after[0] - before[0], after[1] - before[1]];
      const reach = tail.half[i] / Math.hypot(dx, dy);
      left.push([x + dy * reach, y - dx * reach, i === 3 ? 1 : 0]);
      right.unshift([x - dy * reach, y + dx * reach, i === 3 ? 1 : 0]);
    });
    const notch = [line[3][0] * 0.7 + line[2][0] * 0.3, line[3][1] * 0.7 + line[2][1] * 0.3, 1];
    const shape = rig.head(curve([...left, notch, ...right], true, 11), KNOT.depth - 30);
    fill(ctx, shape, k ? colours.ribbonShade : colours.ribbon);
    ctx.save();
    trace(ctx, shape);
    ctx.clip();
    ctx.fillStyle = colours.trim;
    const end = [right[0], notch, left[3]].map(([x, y]) => [x - (line[3][0] - line[2][0]) * 0.16, y - (line[3][1] - line[2][1]) * 0.16, 1]);
    ink(ctx, rig.head(curve(end, false, 8), KNOT.depth - 30), 8, WEIGHT.even);
    ctx.restore();
    outline(ctx, shape, 5.5, colours.ribbonLine);
  }
}

/** Loops and knot, in front; `perk` from -1 (drooping) to 1 (up), `flutter` in radians. */
export function paintBow(ctx, rig, colours, perk, flutter) {
  for (const side of [-1, 1]) {
    const droop = -0.24 * perk + (perk < 0 ? -0.22 * perk : 0) + side * flutter;
    const scale = 1 + 0.06 * Math.max(0, perk);
    const place = (anchors, isClosed) => rig.head(curve(inPlace(anchors, side, droop, scale), isClosed, 11), KNOT.depth + (isClosed ? 0 : 1));
    const loop = place(LOOP, true);
    ctx.fillStyle = fade(colours.hairDeep, 0.6);
    trace(ctx, loop, 3, 15);
    ctx.fill();
    fill(ctx, loop, colours.ribbon);
    ctx.save();
    trace(ctx, loop);
    ctx.clip();
    fill(ctx, place([[0, 30], [50, 14], [100, 30], [150, 20], [190, -20], [190, 80], [60, 80]], true), colours.ribbonShade);
    fill(ctx, place([[50, -52], [110, -76], [128, -64], [80, -40]], true), colours.ribbonLight);
    fill(ctx, place(INSIDE, true), colours.ribbonDeep);
    ctx.fillStyle = colours.trim;
    ink(ctx, place(TRIM, false), 8, (s) => 0.4 + 0.6 * WEIGHT.taper(s));
    ctx.fillStyle = colours.ribbonLine;
    for (const fold of FOLDS) ink(ctx, place(fold, false), 5, WEIGHT.fall);
    ctx.restore();
    // mirrored loops run the other way round: turn them so that the shadow side is right
    outline(ctx, side > 0 ? loop : reversed(loop), 6.5, colours.ribbonLine);
  }
  const knot = rig.head(curve(inPlace([[-22, -26], [0, -31], [22, -26], [27, 0], [22, 27], [0, 31], [-22, 27], [-27, 0]], 1, 0, 1), true, 6), KNOT.depth + 12);
  fill(ctx, knot, colours.ribbon);
  ctx.save();
  trace(ctx, knot);
  ctx.clip();
  fill(ctx, rig.head(curve(inPlace([[4, -34], [30, -34], [34, 34], [-10, 34], [10, 6]], 1, 0, 1), true, 6), KNOT.depth + 12), colours.ribbonShade);
  ctx.restore();
  outline(ctx, knot, 6, colours.ribbonLine);
}

/** Where the tails hang from, for their springs. */
export const RIBBON_ROOT = KNOT;
