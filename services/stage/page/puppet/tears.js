// Tears: they well up on the lower lid and run down the cheek, a bead gliding along each track.

import { curve, ellipse, fill, ink, outline, take, trace, WEIGHT } from "./curve.js";
import { lowerLid } from "./eyes.js";
import { faceOutline } from "./face.js";
import { fade } from "./palette.js";

const WATER = "#bfeaff";
const EDGE = "#3f86ad";
const PERIOD_S = 2.8; // of a bead's way down
const FROM = 0.5; // share of the lid, from the inner corner, at which the track begins
const DOWN = [[1, 26], [-5, 58], [-15, 84]]; // the track from there, outwards and down

/** Water on both eyes; `open` are the lids, `amount` from 0 to 1. */
export function paintTears(ctx, rig, face, open, amount, seconds) {
  if (amount < 0.02) return;
  ctx.save();
  trace(ctx, faceOutline(rig, face.puff)); // a turned head hides the track on its far side
  ctx.clip();
  for (const side of [-1, 1]) {
    const lid = lowerLid(side, face, open);
    const on = (points) => rig.face(points, 8);
    paintTrack(ctx, on, lid, side, amount, seconds / PERIOD_S + (side + 1) * 0.21);
    paintWell(ctx, on, lid, amount, seconds);
  }
  ctx.restore();
}

/** A rim of water on the lid, highest where the track begins. */
function paintWell(ctx, on, lid, amount, seconds) {
  const n = lid.length / 2;
  const [first, last] = [Math.round(n * 0.1), Math.round(n * 0.9)];
  const count = last - first;
  const [well, top] = [take(4 * count), take(2 * count)];
  for (let i = 0; i < count; i++) {
    const [x, y] = [lid[2 * (first + i)], lid[2 * (first + i) + 1]];
    const s = i / (count - 1);
    const height = amount * (13 + 1.5 * Math.sin(seconds * 2.1 + 5 * s)) * Math.sin(Math.PI * s) ** 0.6;
    top.set([x, y - height], 2 * i);
    well.set([x, y - height], 2 * i);
    well.set([x, y + 2], 2 * (2 * count - 1 - i));
  }
  fill(ctx, on(well), fade(WATER, 0.85));
  ctx.fillStyle = "#ffffff";
  ink(ctx, on(top), 4.5 * amount, WEIGHT.taper);
}

function paintTrack(ctx, on, lid, side, amount, turns) {
  const at = 2 * Math.round((lid.length / 2 - 1) * FROM);
  const [x, y] = [lid[at], lid[at + 1]];
  const spine = DOWN.map(([dx, dy]) => [x + side * dx, y + dy * amount]);
  const [end, size] = [spine.at(-1), 13 * amount];
  const half = [4.5, 5.5, 6.5].map((width) => width * amount);
  // down the outer side, round the drop that hangs at its end, up the other
  const edge = (sign) => spine.slice(0, 2).map(([px, py], i) => [px + sign * half[i + 1], py]);
  const drop = [[size * 0.95, 0], [size * 0.7, size * 0.8], [0, size * 1.15], [-size * 0.7, size * 0.8], [-size * 0.95, 0]];
  const shape = on(curve([[x + 9 * amount, y - 1], ...edge(1), ...drop.map(([u, v]) => [end[0] + u, end[1] + v]), ...edge(-1).reverse(), [x - 9 * amount, y - 1]], true, 5));
  fill(ctx, shape, fade(WATER, 0.88));
  outline(ctx, shape, 4.2, EDGE);
  const glide = turns - Math.floor(turns);
  const bead = curve([[x, y], ...spine], false, 4);
  const k = 2 * Math.floor((bead.length / 2 - 1) * glide);
  const swell = amount * Math.sin(Math.PI * glide);
  fill(ctx, on(ellipse(bead[k], bead[k + 1], 6 * swell, 9 * swell, 16)), fade("#ffffff", 0.9));
  fill(ctx, on(ellipse(end[0] - 4 * amount, end[1], 3.6 * amount, 5 * amount, 12)), "#ffffff");
}
