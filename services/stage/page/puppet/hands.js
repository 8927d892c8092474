// Hands in wide sleeves: one at the chin to think, two whose fingers meet when she is shy, two fists to cheer.

import { curve, fill, ink, outline, reversed, trace, WEIGHT } from "./curve.js";

// an arm in its own frame: the cuff lies at (0, 0), the hand reaches up, the sleeve hangs down
const SLEEVE = [[-50, 8], [-26, -4], [4, -6], [32, -2], [52, 10], [66, 120], [92, 330], [112, 640], [-84, 640], [-76, 330], [-66, 120]];
const SHADE = [[22, -2], [52, 10], [70, 120], [96, 330], [116, 640], [30, 640], [44, 330], [14, 190], [34, 90]];
const RIM = [[-52, 10], [-24, 20], [6, 22], [34, 20], [54, 12]];
const STRIPE = [[-56, 44], [-26, 54], [6, 57], [36, 54], [60, 44]];
const CREASES = [[[-60, 96], [-30, 116], [2, 118]], [[62, 150], [36, 176], [4, 186]]];
const FIST = [[-34, 10], [-40, -22], [-34, -50], [-12, -60], [16, -58], [36, -44], [40, -16], [34, 10]];
const KNUCKLES = [[[-14, -58], [-12, -40], [-14, -26]], [[4, -59], [8, -40], [6, -26]], [[22, -54], [26, -38], [22, -26]]];
const FINGER = [[-36, -30], [-37, -70], [-34, -100], [-24, -110], [-14, -100], [-12, -64], [-10, -34]];
const THUMB = [[-20, -22], [2, -26], [22, -18], [24, -8], [8, -4], [-16, -6]];

/*
 * sign -> its arms: where the cuff is, angle in radians, `bend` of the sleeve back to the body, size, a stretched
 * `finger` or a fist, `follow`: how much the hand goes with the head. A side of -1 mirrors the arm.
 */
const SIGNS = {
  chin: [{ side: 1, x: 96, y: 762, angle: -0.34, bend: 60, size: 1.08, finger: true, follow: 1 }],
  fidget: [
    { side: 1, x: 96, y: 886, angle: -0.95, bend: 190, size: 0.9, finger: true, follow: 0 },
    { side: -1, x: -98, y: 886, angle: -0.95, bend: 190, size: 0.9, finger: true, follow: 0 },
  ],
  cheer: [
    { side: 1, x: 196, y: 930, angle: -0.16, bend: 0, size: 1, finger: false, follow: 0 },
    { side: -1, x: -196, y: 930, angle: -0.16, bend: 0, size: 1, finger: false, follow: 0 },
  ],
};
const BELOW = 480; // how far down a hand waits that is not shown

/** Draw the hands whose numbers in `signs` (chin, fidget, cheer; 0 to 1) are above 0. */
export function paintHands(ctx, rig, colours, signs, seconds) {
  for (const [name, arms] of Object.entries(SIGNS)) {
    const amount = Math.min(1, signs[name]);
    if (amount < 0.02) continue;
    for (const arm of arms) {
      const beat = name === "chin" ? 0 : 5 * signs.lively * Math.sin(seconds * (name === "cheer" ? 9 : 4) + arm.side);
      paintArm(ctx, rig, colours, arm, BELOW * (1 - amount) ** 2 + beat);
    }
  }
}

function paintArm(ctx, rig, colours, arm, drop) {
  const { side, x, y, angle, bend, size, follow } = arm;
  const [cos, sin] = [Math.cos(angle) * size, Math.sin(angle) * size];
  const curl = ([across, v]) => {
    const u = across - bend * (Math.max(0, v) / 300) ** 2;
    return [x + side * (u * cos - v * sin), y + drop + u * sin + v * cos];
  };
  const place = (anchors, closed) => {
    const points = curve(anchors.map(curl), closed, 14);
    const out = rig.body(points, 70);
    if (follow) {
      const head = rig.head(points, 120);
      for (let i = 0; i < points.length; i += 2) {
        const share = follow * Math.max(0, Math.min(1, (1000 - points[i + 1]) / 240));
        out[i] += (head[i] - out[i]) * share;
        out[i + 1] += (head[i + 1] - out[i + 1]) * share;
      }
    }
    return side > 0 || !closed ? out : reversed(out);
  };
  const skin = (anchors) => {
    const shape = place(anchors, true);
    fill(ctx, shape, colours.skin);
    outline(ctx, shape, 5, colours.skinLine);
  };
  skin(FIST);
  if (arm.finger) skin(FINGER);
  ctx.fillStyle = colours.skinLine;
  for (const line of KNUCKLES.slice(arm.finger ? 1 : 0)) ink(ctx, place(line, false), 4, WEIGHT.taper);
  skin(THUMB);
  const sleeve = place(SLEEVE, true);
  fill(ctx, sleeve, colours.cloth);
  ctx.save();
  trace(ctx, sleeve);
  ctx.clip();
  fill(ctx, place(SHADE, true), colours.clothShade);
  ctx.fillStyle = colours.collar;
  ink(ctx, place(RIM, false), 30 * size, WEIGHT.even);
  ctx.fillStyle = colours.accent;
  ink(ctx, place(STRIPE, false), 9 * size, WEIGHT.even);
  ctx.fillStyle = colours.clothLine;
  for (const line of CREASES) ink(ctx, place(line, false), 5, WEIGHT.taper);
  ctx.restore();
  outline(ctx, sleeve, 6.5, colours.clothLine);
}
