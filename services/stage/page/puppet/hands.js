// Hands in wide sleeves: one along the cheek to think, two whose fingertips meet when she is shy, two fists to cheer.

import { fill, ink, outline, reversed, take, trace, WEIGHT } from "./curve.js";
import { HANDS, SLEEVE } from "./hand_shapes.js";
import { fade } from "./palette.js";

/*
 * sign -> its arms: which hand, where the cuff is, angle in radians, `bend` of the sleeve back to the body, size,
 * `follow`: how much the hand goes with the head, `shade`: the side of the sleeve away from the light. A side of -1
 * mirrors the arm. She has two hands: a sign leaves to later ones what it does not need.
 */
const both = (arm) => [{ side: 1, shade: 1, ...arm }, { side: -1, shade: -1, ...arm }];
const SIGNS = {
  chin: [{ side: 1, hand: "think", x: 134, y: 790, angle: -0.16, bend: 30, size: 1.1, follow: 1, shade: 1 }],
  fidget: both({ hand: "point", x: 171, y: 990, angle: -1.24, bend: 230, size: 1, follow: 0, shade: -1 }),
  cheer: both({ hand: "fist", x: 262, y: 872, angle: -0.14, bend: 0, size: 1.1, follow: 0 }),
};
const BELOW = 520; // how far down a hand waits that is not shown
const LIGHT = [-6, -6.5]; // how far a part's lit side lies from its shaded one: light comes from the upper left

/** Draw the hands whose numbers in `signs` (chin, fidget, cheer; 0 to 1) are above 0. */
export function paintHands(ctx, rig, colours, signs, seconds) {
  let free = 1;
  for (const [name, arms] of Object.entries(SIGNS)) {
    const amount = Math.min(1, signs[name]) - (1 - free);
    free -= Math.max(0, amount);
    if (amount < 0.02) continue;
    for (const arm of arms) {
      const beat = name === "chin" ? 0 : 5 * signs.lively * Math.sin(seconds * (name === "cheer" ? 9 : 4) + arm.side);
      paintArm(ctx, placer(rig, arm, BELOW * (1 - amount) ** 2 + beat), colours, arm);
    }
  }
}

/** A function that puts points of the arm's frame (a `flip` of -1 swaps its sides) on the picture; `isClosed` ones keep running clockwise. */
function placer(rig, { side, x, y, angle, bend, size, follow }, drop) {
  const [cos, sin] = [Math.cos(angle) * size, Math.sin(angle) * size];
  return (shape, isClosed, flip = 1) => {
    const points = take(shape.length);
    for (let i = 0; i < shape.length; i += 2) {
      const v = shape[i + 1];
      const u = flip * shape[i] - bend * (Math.max(0, v) / 300) ** 2;
      points[i] = x * side + side * (u * cos - v * sin);
      points[i + 1] = y + drop + u * sin + v * cos;
    }
    const out = rig.body(points, 70);
    if (follow) {
      const head = rig.head(points, 120);
      for (let i = 0; i < points.length; i += 2) {
        const share = follow * Math.max(0, Math.min(1, (1000 - points[i + 1]) / 240));
        out[i] += (head[i] - out[i]) * share;
        out[i + 1] += (head[i + 1] - out[i + 1]) * share;
      }
    }
    return side > 0 || !isClosed ? out : reversed(out);
  };
}

function paintArm(ctx, place, colours, { hand, size, shade }) {
  const sleeve = place(SLEEVE.outline, true);
  castShadow(ctx, sleeve, colours.clothLine);
  const inside = place(SLEEVE.inside, true);
  fill(ctx, inside, colours.collarShade);
  outline(ctx, inside, 6, colours.clothLine);
  for (const part of HANDS[hand].parts) paintSkin(ctx, place(part.shape, true), colours, part);
  ctx.fillStyle = colours.skinLine;
  for (const line of HANDS[hand].lines) ink(ctx, place(line, false), 4, WEIGHT.taper);
  paintSleeve(ctx, place, sleeve, colours, size, shade);
}

/** A shadow of `shape` on what is drawn already, not on the ground behind her. */
function castShadow(ctx, shape, colour) {
  ctx.save();
  ctx.globalCompositeOperation = "source-atop";
  ctx.fillStyle = fade(colour, 0.5);
  trace(ctx, shape, 12, 16);
  ctx.fill();
  ctx.restore();
}

function paintSkin(ctx, shape, colours, { outlined, isNail }) {
  if (isNail) {
    fill(ctx, shape, colours.nail);
    outline(ctx, shape, 2.6, colours.skinDeep);
    return;
  }
  fill(ctx, shape, outlined ? colours.skinShade : colours.skin);
  if (!outlined) return;
  ctx.save();
  trace(ctx, shape);
  ctx.clip();
  ctx.fillStyle = colours.skin;
  trace(ctx, shape, ...LIGHT);
  ctx.fill();
  ctx.restore();
  outline(ctx, shape, 6, colours.skinLine);
}

function paintSleeve(ctx, place, sleeve, colours, size, shade) {
  fill(ctx, sleeve, colours.cloth);
  ctx.save();
  trace(ctx, sleeve);
  ctx.clip();
  fill(ctx, place(SLEEVE.shade, true, shade), colours.clothShade);
  ctx.fillStyle = colours.clothLine;
  for (const line of SLEEVE.creases) ink(ctx, place(line, false), 6, WEIGHT.taper);
  ctx.fillStyle = colours.clothRim;
  for (const line of SLEEVE.light) ink(ctx, place(line, false), 8 * size, WEIGHT.soft);
  ctx.fillStyle = colours.collar;
  ink(ctx, place(SLEEVE.cuff, false), 46 * size, WEIGHT.even);
  ctx.fillStyle = colours.collarShade;
  ink(ctx, place(SLEEVE.cuffShade, false, shade), 46 * size, WEIGHT.even);
  ctx.fillStyle = colours.accent;
  ink(ctx, place(SLEEVE.stripe, false), 12 * size, WEIGHT.even);
  ctx.restore();
  outline(ctx, sleeve, 7, colours.clothLine);
}
