// The eyes: opening, white, iris with gradient and lights, lashes. Drawn in the eye's own frame, then put on the head.

import { curve, ellipse, fill, ink, reversed, take, trace, WEIGHT } from "./curve.js";
import { fade } from "./palette.js";

const CENTRE = { x: 104, y: 468, scale: 1.1 };

// lids in the eye's frame, inner to outer corner; x is shared by all rows
const ACROSS = [-55, -42, -18, 10, 38, 56, 63];
const LIDS = {
  upper: [14, -18, -44, -53, -43, -15, 8],
  lower: [14, 38, 50, 52, 44, 24, 8],
  closed: [20, 31, 40, 42, 36, 24, 14],
  smile: [24, 4, -13, -18, -10, 10, 27],
};
const IRIS = { rx: 42, ry: 54 };

const between = (a, b, share) => a + (b - a) * share;

/** Lid heights for an opening (0 to 1.2) and a smile (0 to 1); `slant` raises the outer corner. */
function lids(open, smile, slant) {
  const upper = [];
  const lower = [];
  for (let i = 0; i < ACROSS.length; i++) {
    const shut = between(LIDS.closed[i], LIDS.smile[i], smile);
    const tilt = (slant * (ACROSS[i] + 10)) / 60;
    const cheek = smile * 17 * Math.max(0, 1 - (ACROSS[i] / 64) ** 2);
    upper.push(between(shut, LIDS.upper[i], open) - tilt);
    lower.push(between(shut, LIDS.lower[i] - cheek, Math.min(1, open * 1.4)) - tilt);
  }
  return { upper, lower };
}

/** The lower lid of one eye from its inner to its outer corner, points of the drawing. */
export function lowerLid(side, face, open) {
  return onFace(side, lidCurve(lids(open, face.eyeSmile, face.eyeSlant).lower));
}

/** Points of one eye on the face: `side` is -1 for the viewer's left, 1 for the right. */
function onFace(side, points) {
  const out = take(points.length);
  for (let i = 0; i < points.length; i += 2) {
    out[i] = side * (CENTRE.x + CENTRE.scale * points[i]);
    out[i + 1] = CENTRE.y + CENTRE.scale * points[i + 1];
  }
  return out;
}

const lidCurve = (heights, grow = 0) => curve(ACROSS.map((x, i) => [x, heights[i] + grow]), false, 7);

function star(x, y, reach) {
  const points = [];
  for (let i = 0; i < 8; i++) {
    const angle = (i / 8) * 2 * Math.PI - Math.PI / 2;
    const radius = i % 2 ? reach * 0.36 : reach;
    points.push(x + radius * Math.cos(angle), y + radius * Math.sin(angle) * 1.15);
  }
  return points;
}

/** Draw one eye. `face` holds the mood's numbers, `gaze` the place the iris looks at, `open` the lids. */
export function paintEye(ctx, rig, colours, side, face, open, gaze) {
  const { upper, lower } = lids(open, face.eyeSmile, face.eyeSlant);
  const place = (points, extra = 0) => {
    const there = onFace(side, points);
    return rig.face(there, extra);
  };
  const upperLine = place(lidCurve(upper));
  const lowerLine = place(lidCurve(lower));
  if (open > 0.06) paintBall(ctx, place, colours, side, face, gaze, upper, upperLine, lowerLine);

  // lower lash: a hint, at the outer half
  ctx.fillStyle = colours.line;
  if (open > 0.2) ink(ctx, lowerLine.subarray(Math.floor(lowerLine.length / 3.2) * 2), 4.4, WEIGHT.grow);
  // upper lash: thick, ending in a flick
  // (shut eyes that smile end in a plain taper)
  const flick = Math.min(1, open * 2.5 + (1 - face.eyeSmile) * 0.6);
  const arch = ACROSS.map((x, i) => [x, upper[i]]);
  const rise = open > 0.35 ? 1 : -0.5;
  const lash = place(curve([...arch.slice(0, 6), [66, upper[6] - 3 * flick], [66 + 11 * flick, upper[6] - 10 * flick * rise]], false, 7), 3);
  ctx.fillStyle = colours.line;
  ink(ctx, lash, 12.5 + 6.5 * Math.min(1, open), flick > 0.3 ? WEIGHT.lash : WEIGHT.soft);
  if (flick > 0.3) {
    for (const [x, y, out] of [[50, upper[5] + 2, 26], [36, upper[4] + 2, 23]]) {
      const spike = [[x, y], [x + out * 0.6, y - 12 * rise], [x + out, y - 23 * rise]];
      ink(ctx, place(curve(spike, false, 6), 3), 6 * flick, (s) => 1 - s);
    }
  }
  // crease above the lid
  if (open > 0.3) {
    const crease = curve([[-16, upper[2] - 13], [8, upper[3] - 15], [30, upper[4] - 19], [48, upper[5] - 25]], false, 8);
    ctx.fillStyle = colours.skinLine;
    ink(ctx, place(crease), 3.2, WEIGHT.taper);
  }
}

function paintBall(ctx, place, colours, side, face, gaze, upper, upperLine, lowerLine) {
  ctx.save();
  const opening = take(upperLine.length + lowerLine.length);
  opening.set(upperLine);
  opening.set(reversed(lowerLine), upperLine.length);
  fill(ctx, opening, "#fffdfc");
  trace(ctx, opening);
  ctx.clip();
  const [x, y] = [side * (gaze.x * 17) - 1, -gaze.y * 13 - 1];
  const [rx, ry] = [IRIS.rx * face.iris, IRIS.ry * face.iris];
  const disc = (dx, dy, w, h) => place(ellipse(x + side * dx * face.iris, y + dy * face.iris, w * face.iris, h * face.iris));
  const iris = place(ellipse(x, y, rx, ry, 40));
  const [top, bottom] = [place([x, y - ry]), place([x, y + ry])];
  const gradient = ctx.createLinearGradient(top[0], top[1], bottom[0], bottom[1]);
  gradient.addColorStop(0.1, colours.eyeDark);
  gradient.addColorStop(0.48, colours.eyeMid);
  gradient.addColorStop(0.74, colours.eyes);
  gradient.addColorStop(1, colours.eyeLight);
  fill(ctx, iris, colours.eyeDark);
  fill(ctx, place(ellipse(x, y, rx - 4, ry - 4, 40)), gradient);
  // light that falls through from above gathers below the pupil; the hair glows back from the rim
  fill(ctx, disc(0, 26, 29, 20), fade(colours.eyes, 0.75));
  fill(ctx, disc(0, 31, 24, 15), fade(colours.eyeLight, 0.75));
  fill(ctx, disc(0, 37, 15, 8), fade(colours.eyeGlow, 0.85));
  fill(ctx, disc(0, 0, 19, 26), colours.eyeDark);
  const glow = curve([[-29, 12], [-33, -10], [-24, -30]].map(([u, v]) => [x + u * face.iris, y + v * face.iris]), false, 5);
  ctx.fillStyle = fade(colours.eyeRim, 0.85);
  ink(ctx, place(side > 0 ? glow : mirroredX(glow, x)), 5, WEIGHT.taper);
  // the lid's shadow, over white and iris
  const shade = take(upperLine.length * 2);
  const under = place(lidCurve(upper, 17));
  shade.set(upperLine);
  shade.set(reversed(under), upperLine.length);
  fill(ctx, shade, fade(colours.eyeShadow, 0.5));
  // lights lie on the same side of both eyes
  const stars = Math.min(1, face.stars);
  const lightX = -14 + gaze.x * 3;
  if (stars < 0.98) fill(ctx, disc(lightX, -22, 14.5 * (1 - stars), 17 * (1 - stars)), "#ffffff");
  if (stars > 0.02) {
    fill(ctx, place(star(x + side * lightX * 0.8, y - 14, 25 * stars)), "#ffffff");
    fill(ctx, place(star(x + side * 15, y + 24, 12 * stars)), "#ffffff");
  }
  fill(ctx, disc(15, 22 + 3 * face.wet, 6 + 4 * face.wet, 6.5 + 3 * face.wet), "rgba(255,255,255,.92)");
  fill(ctx, disc(-12, 31, 3.2 + 4 * face.wet, 3.2 + 2 * face.wet), fade(colours.eyeLight, 0.95));
  ctx.restore();
}

const mirroredX = (points, x) => points.map((value, i) => (i % 2 ? value : 2 * x - value));

/** Draw one brow over the hair. */
export function paintBrow(ctx, rig, colours, side, face) {
  const lift = face.browLift + side * face.browSkew;
  const [cos, sin] = [Math.cos(face.browTilt + side * face.browSkew * -0.006), Math.sin(face.browTilt + side * face.browSkew * -0.006)];
  const anchors = [[-38, 4], [-16, -4 - face.browBend * 0.8], [10, -7 - face.browBend], [44, 5]].map(([x, y]) => [
    side * (104 + x * cos + y * sin), // inner end first: a positive tilt lowers it
    376 - lift + y * cos - x * sin,
  ]);
  const points = curve(anchors, false, 8);
  ctx.fillStyle = colours.line;
  ink(ctx, rig.face(points, 8), 13.5, (s) => Math.min(1, 0.45 + s * 3) * Math.sqrt(1 - s * 0.97));
}
