// The face without its eyes: skin, neck, shadow of the fringe, cheeks, nose and mouth.

import { curve, ellipse, fill, follow, ink, mirrored, outline, reversed, spline, take, trace, WEIGHT } from "./curve.js";
import { blend } from "./mouths.js";
import { fade, mix } from "./palette.js";

const FACE = spline(
  mirrored([[0, 205], [112, 226], [180, 310], [199, 412], [193, 486], [171, 550], [120, 611], [62, 656], [22, 677], [0, 681]]), true,
);
const NECK = spline([[-50, 600], [50, 600], [48, 690], [57, 742], [120, 800], [-120, 800], [-57, 742], [-48, 690]], true);
// light comes from the upper left: a rim of shade along the right of the jaw
const JAW_SHADE = spline(
  [[204, 380], [188, 480], [160, 548], [110, 602], [46, 644], [-30, 664], [0, 680], [70, 664], [140, 612], [190, 550], [214, 470]], true,
);
const NOSE_SHADE = spline([[1, 532], [9, 552], [2, 557, 1]], true, 5);
const NOSE_TIP = spline([[-4, 551], [2, 556], [8, 553]], false, 4);
const MOUTH_Y = 592;
const MOUTH_SCALE = [1.2, 1.1]; // drawn larger than its table, so that it reads when she is small
const GLOW = [[0, 1], [0.25, 0.84], [0.5, 0.46], [0.75, 0.14], [1, 0]]; // a soft edge: share of the way out, share of the colour

export function paintNeck(ctx, rig, colours) {
  const neck = rig.body(NECK, 10);
  // the top of the neck follows the head, its foot the body
  const top = rig.head(NECK, 20);
  for (let i = 0; i < NECK.length; i += 2) {
    const share = Math.max(0, Math.min(1, (760 - NECK[i + 1]) / 150));
    for (const axis of [0, 1]) neck[i + axis] += (top[i + axis] - neck[i + axis]) * share;
  }
  fill(ctx, neck, colours.skin);
  ctx.save();
  trace(ctx, neck);
  ctx.clip();
  ctx.fillStyle = colours.skinShade;
  trace(ctx, rig.face(FACE), 10, 60);
  ctx.fill();
  ctx.restore();
  outline(ctx, neck, 3.4, colours.skinLine);
}

/** Skin and what lies on it below the eyes; `fringe` are the strands whose shadow falls on it. */
export function paintFace(ctx, rig, colours, face, fringe) {
  const skin = faceOutline(rig, face.puff);
  fill(ctx, skin, colours.skin);
  ctx.save();
  trace(ctx, skin);
  ctx.clip();
  fill(ctx, rig.face(JAW_SHADE), fade(colours.skinShade, 0.8));
  ctx.fillStyle = colours.skinShade;
  ctx.beginPath();
  for (const { shape } of fringe) follow(ctx, shape, 7, 17);
  ctx.fill();
  if (face.gloom > 0.01) paintGloom(ctx, rig, colours, face.gloom);
  paintBlush(ctx, rig, colours, face);
  if (face.puff > 0.02) paintPuff(ctx, rig, face.puff);
  ctx.restore();
  outline(ctx, skin, 5.4, colours.skinLine);
  paintNose(ctx, rig, colours);
}

function paintGloom(ctx, rig, colours, gloom) {
  const [top, bottom] = [rig.headPoint(0, 260, 150), rig.headPoint(0, 470, 160)];
  const gradient = ctx.createLinearGradient(top[0], top[1], bottom[0], bottom[1]);
  gradient.addColorStop(0, `rgba(70,60,120,${0.5 * gloom})`);
  gradient.addColorStop(1, "rgba(70,60,120,0)");
  ctx.fillStyle = gradient;
  ctx.fillRect(-600, 0, 1200, 1200);
}

function paintBlush(ctx, rig, colours, face) {
  const bridge = Math.min(0.6, Math.max(0, face.blush - 0.7)); // a strong blush runs across the nose
  for (const [side, share] of [[0, bridge], [-1, 1], [1, 1]]) {
    const [x, y] = rig.headPoint(side * 124, 546, 95 + 60 * (1 - Math.abs(side)));
    ctx.save();
    ctx.translate(x, y);
    ctx.scale(1, side ? 0.56 : 0.3);
    const reach = (side ? 72 : 150) + 12 * Math.min(1, face.blush);
    const glow = ctx.createRadialGradient(0, 0, 0, 0, 0, reach);
    const alpha = Math.min(0.9, 0.74 * face.blush) * share;
    for (const [place, strength] of GLOW) glow.addColorStop(place, fade(colours.blush, alpha * strength));
    ctx.fillStyle = glow;
    ctx.fillRect(-reach, -reach, 2 * reach, 2 * reach);
    ctx.restore();
    if (side && face.blushLines > 0.02) {
      ctx.fillStyle = fade(mix(colours.blush, colours.skinLine, 0.45), Math.min(1, face.blushLines));
      for (const k of [-1, 0, 1]) {
        const line = curve([[side * 124 + k * 19 + 6, 532], [side * 124 + k * 19 - 5, 554]], false, 6);
        ink(ctx, rig.face(line, 2), 5, WEIGHT.taper);
      }
    }
  }
}

/** The outline of the face, its cheeks blown up by `puff`. */
export function faceOutline(rig, puff) {
  const points = take(FACE.length);
  points.set(FACE);
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = [points[i], points[i + 1]];
    const swell = puff * Math.exp(-(((y - 584) / 36) ** 2)) * Math.min(1, Math.abs(x) / 110);
    points[i] += Math.sign(x) * 28 * swell;
    points[i + 1] += 7 * swell;
  }
  return rig.face(points);
}

/** The light on blown-up cheeks. */
function paintPuff(ctx, rig, puff) {
  for (const side of [-1, 1]) {
    fill(ctx, rig.face(ellipse(side * 134 - 12, 548, 15 * puff, 8 * puff), 4), fade("#ffffff", 0.75));
  }
}

function paintNose(ctx, rig, colours) {
  fill(ctx, rig.face(NOSE_SHADE, 26), colours.skinDeep);
  ctx.fillStyle = colours.skinLine;
  ink(ctx, rig.face(NOSE_TIP, 28), 3.4, WEIGHT.taper);
}

const scaled = ({ width, up, down, open, ...rest }) => {
  const [across, high] = MOUTH_SCALE;
  return { ...rest, width: width * across, up: up.map((y) => y * high), down: down.map((y) => y * high), open: open * high };
};

/** The mouth of `weights` (see mouths.js) on the face. */
export function paintMouth(ctx, rig, colours, weights, face) {
  const mouth = scaled(blend(weights, face));
  const lip = (heights, inset = 1) =>
    curve(heights.map((y, i) => [face.lipSkew + mouth.width * inset * Math.sin(((i - 3) / 6) * Math.PI), MOUTH_Y + y]), false, 5);
  const place = (points, extra = 6) => rig.face(points, extra);
  const [upper, lower] = [lip(mouth.up), lip(mouth.down)];
  if (mouth.open > 1.5) {
    const hole = take(upper.length + lower.length);
    hole.set(upper);
    hole.set(reversed(lower), upper.length);
    const shape = place(hole);
    fill(ctx, shape, "#7a1a2c");
    ctx.save();
    trace(ctx, shape);
    ctx.clip();
    if (mouth.tongue > 0.05) {
      const height = mouth.open * 0.42 * Math.min(1, mouth.tongue);
      fill(ctx, place(ellipse(face.lipSkew, MOUTH_Y + mouth.down[3] + height * 0.25, mouth.width * 0.66, height)), "#f0767c");
    }
    if (mouth.teeth > 0.05) {
      // the row of teeth hangs from the upper lip and ends in a soft arc
      const depth = Math.min(mouth.open * 0.5, 12 * mouth.teeth);
      const top = lip(mouth.up.map((y) => y - 6), 0.9);
      const rim = lip(mouth.up.map((y, i) => mouth.up[3] + depth - 1.1 * (i - 3) ** 2), 0.8);
      const band = take(top.length + rim.length);
      band.set(top);
      band.set(reversed(rim), top.length);
      fill(ctx, place(band), "#fffaf5");
    }
    ctx.restore();
    ctx.fillStyle = colours.skinLine;
    ink(ctx, place(lower), 4.6, WEIGHT.taper);
  }
  ctx.fillStyle = colours.line;
  ink(ctx, place(upper), 7.2, (s) => 0.35 + 0.65 * WEIGHT.taper(s));
  // a short shade under the lip
  const shade = curve([[face.lipSkew - 12, MOUTH_Y + mouth.down[3] + 13], [face.lipSkew + 12, MOUTH_Y + mouth.down[3] + 13]], false, 6);
  ctx.fillStyle = colours.skinDeep;
  ink(ctx, place(shade), 3.4, WEIGHT.taper);
}
