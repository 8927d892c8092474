// The face without its eyes: skin, neck, shadow of the fringe, cheeks, nose and mouth.

import { ellipse, fill, ink, mirrored, outline, spline, trace, WEIGHT } from "./curve.js";
import { blend } from "./mouths.js";
import { fade, mix } from "./palette.js";
import { surface } from "./rig.js";

const FACE = spline(
  mirrored([[0, 205], [112, 226], [180, 310], [199, 412], [192, 486], [167, 548], [112, 610], [48, 660], [0, 682]]), true,
);
const FACE_DEPTH = surface(FACE);
const NECK = spline([[-50, 600], [50, 600], [48, 690], [57, 742], [120, 800], [-120, 800], [-57, 742], [-48, 690]], true);
const MOUTH_Y = 594;

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
  trace(ctx, rig.head(FACE, FACE_DEPTH), 10, 60);
  ctx.fill();
  ctx.restore();
  outline(ctx, neck, 3.4, colours.skinLine);
}

/** Skin and what lies on it below the eyes; `fringe` are the strands whose shadow falls on it. */
export function paintFace(ctx, rig, colours, face, fringe) {
  const skin = rig.head(FACE, FACE_DEPTH);
  fill(ctx, skin, colours.skin);
  ctx.save();
  trace(ctx, skin);
  ctx.clip();
  paintCheekShade(ctx, rig, colours);
  ctx.fillStyle = colours.skinShade;
  for (const strand of fringe) {
    trace(ctx, strand.shape, 7, 17);
    ctx.fill();
  }
  if (face.gloom > 0.01) paintGloom(ctx, rig, colours, face.gloom);
  paintBlush(ctx, rig, colours, face);
  ctx.restore();
  outline(ctx, skin, 5.4, colours.skinLine);
  if (face.puff > 0.02) paintPuff(ctx, rig, colours, face.puff);
  paintNose(ctx, rig, colours);
}

function paintCheekShade(ctx, rig, colours) {
  // light comes from the upper left: a rim of shade along the right of the jaw
  const shade = spline(
    [[204, 380], [188, 480], [160, 548], [110, 602], [46, 644], [-30, 664], [0, 680], [70, 664], [140, 612], [190, 550], [214, 470]], true,
  );
  fill(ctx, rig.head(shade, surface(shade)), fade(colours.skinShade, 0.8));
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
  for (const side of [-1, 1]) {
    const [x, y] = rig.headPoint(side * 122, 542, 95);
    ctx.save();
    ctx.translate(x, y);
    ctx.scale(1, 0.52);
    const reach = 62 + 10 * Math.min(1, face.blush);
    const glow = ctx.createRadialGradient(0, 0, 4, 0, 0, reach);
    const alpha = Math.min(1, 0.62 * face.blush);
    glow.addColorStop(0, fade(colours.blush, alpha));
    glow.addColorStop(0.45, fade(colours.blush, alpha * 0.72));
    glow.addColorStop(1, fade(colours.blush, 0));
    ctx.fillStyle = glow;
    ctx.fillRect(-reach, -reach, 2 * reach, 2 * reach);
    ctx.restore();
    if (face.blushLines > 0.02) {
      ctx.fillStyle = fade(mix(colours.blush, colours.skinLine, 0.45), Math.min(1, face.blushLines));
      for (const k of [-1, 0, 1]) {
        const line = spline([[side * 124 + k * 19 + 6, 532], [side * 124 + k * 19 - 5, 554]], false, 6);
        ink(ctx, rig.head(line, surface(line, 2)), 5, WEIGHT.taper);
      }
    }
  }
  if (face.blush > 0.8) {
    const bridge = ellipse(0, 532, 62, 17);
    fill(ctx, rig.head(bridge, surface(bridge)), fade(colours.blush, Math.min(0.3, (face.blush - 0.8) * 0.7)));
  }
}

function paintPuff(ctx, rig, colours, puff) {
  for (const side of [-1, 1]) {
    const cheek = spline(
      [[side * 176, 520], [side * (178 + 18 * puff), 552], [side * (164 + 14 * puff), 588], [side * 124, 612], [side * 120, 570], [side * 140, 530]], true,
    );
    const placed = rig.head(cheek, surface(cheek, 6));
    fill(ctx, placed, mix(colours.skin, colours.blush, 0.28));
    const rim = spline([[side * 184, 515], [side * (178 + 18 * puff), 552], [side * (164 + 14 * puff), 588], [side * 122, 613]], false);
    ctx.fillStyle = colours.skinLine;
    ink(ctx, rig.head(rim, surface(rim, 6)), 5.4 * puff, WEIGHT.taper);
  }
}

function paintNose(ctx, rig, colours) {
  const shade = spline([[1, 532], [9, 552], [2, 557, 1]], true, 5);
  fill(ctx, rig.head(shade, surface(shade, 26)), colours.skinDeep);
  const tip = spline([[-4, 551], [2, 556], [8, 553]], false, 4);
  ctx.fillStyle = colours.skinLine;
  ink(ctx, rig.head(tip, surface(tip, 28)), 3.4, WEIGHT.taper);
}

/** The mouth of `weights` (see mouths.js) on the face. */
export function paintMouth(ctx, rig, colours, weights, face) {
  const mouth = blend(weights, face);
  const curve = (heights, inset = 1) =>
    spline(heights.map((y, i) => [face.lipSkew + mouth.width * inset * Math.sin(((i - 3) / 6) * Math.PI), MOUTH_Y + y]), false, 5);
  const place = (points, extra = 6) => rig.head(points, surface(points, extra));
  const [upper, lower] = [curve(mouth.up), curve(mouth.down)];
  if (mouth.open > 1.5) {
    const hole = new Float32Array(upper.length + lower.length);
    hole.set(upper);
    for (let i = 0, n = lower.length / 2; i < n; i++) {
      hole[upper.length + 2 * i] = lower[2 * (n - 1 - i)];
      hole[upper.length + 2 * i + 1] = lower[2 * (n - 1 - i) + 1];
    }
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
      const depth = Math.min(mouth.open * 0.6, 11 * mouth.teeth);
      const teeth = curve(mouth.up.map((y) => y - 4)).length;
      const band = new Float32Array(teeth * 2);
      band.set(curve(mouth.up.map((y) => y - 4), 0.86));
      const rim = curve(mouth.up.map((y) => y + depth), 0.8);
      for (let i = 0, n = rim.length / 2; i < n; i++) {
        band[teeth + 2 * i] = rim[2 * (n - 1 - i)];
        band[teeth + 2 * i + 1] = rim[2 * (n - 1 - i) + 1];
      }
      fill(ctx, place(band), "#fffaf5");
    }
    ctx.restore();
    ctx.fillStyle = colours.skinLine;
    ink(ctx, place(lower), 3.6, WEIGHT.taper);
  }
  ctx.fillStyle = colours.line;
  ink(ctx, place(upper), 5.6, (s) => 0.35 + 0.65 * WEIGHT.taper(s));
  // a short shade under the lip
  const lip = spline([[face.lipSkew - 12, MOUTH_Y + mouth.down[3] + 13], [face.lipSkew + 12, MOUTH_Y + mouth.down[3] + 13]], false, 6);
  ctx.fillStyle = colours.skinDeep;
  ink(ctx, place(lip), 3.4, WEIGHT.taper);
}
