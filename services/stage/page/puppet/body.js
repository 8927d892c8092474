// Shoulders and clothes: a dark hoodie with a sailor collar and a scarf. Shapes are made once; a frame only moves them.

import { ellipse, fill, ink, mirrored, outline, reversed, spline, trace, WEIGHT } from "./curve.js";

const closed = (anchors) => spline(anchors, true, 16);
const open = (anchors) => spline(anchors, false, 15);
const flip = (anchors) => anchors.map(([x, y, corner]) => [-x, y, corner]);
/** A closed shape and its mirror image, both running clockwise. */
const pair = (anchors) => [closed(anchors), reversed(closed(flip(anchors))).slice()];
const lines = (anchors) => [open(anchors), open(flip(anchors))];

const HOOD = closed([[0, 690], [96, 694], [176, 742], [214, 806], [150, 850], [0, 860], [-150, 850], [-214, 806], [-176, 742], [-96, 694]]);
const TORSO = closed(mirrored([[0, 770], [112, 772], [196, 800], [262, 842], [308, 912], [336, 1040], [352, 1230, 1]]));
const FOLDS = [
  [[230, 900], [214, 1010], [226, 1230], [380, 1230], [350, 900], [300, 860]],
  [[-206, 940], [-196, 1040], [-214, 1230], [-262, 1230], [-246, 1060]],
  [[-90, 930], [0, 1000], [90, 930], [150, 900], [120, 990], [20, 1060], [-70, 1010]],
  [[60, 1100], [130, 1130], [200, 1120], [206, 1230], [90, 1230]],
].map(closed);
const SHOULDER_LIGHT = closed([[-206, 812], [-258, 850], [-298, 914], [-318, 990], [-300, 930], [-262, 878]]);
const SLEEVE_SEAMS = lines([[214, 920], [200, 1010], [214, 1110], [208, 1230]]);
const SLEEVE_CREASES = lines([[214, 950], [244, 990], [258, 1040]]);

const NECKLINE = closed([[-54, 742], [54, 742], [100, 776], [84, 870], [0, 980], [-84, 870], [-100, 776]]);
const SHIRT = closed([[-100, 846], [0, 866], [100, 846], [60, 960], [-60, 960]]);
const SHIRT_SHADE = closed([[0, 866], [100, 846], [60, 960], [0, 960]]);
const SHIRT_RIM = open([[-66, 852], [0, 866], [66, 852]]);
const COLLARBONES = lines([[-70, 796], [-34, 806], [-10, 802]]);

const LAPELS = pair([[74, 738, 1], [150, 762], [226, 822, 1], [196, 880], [120, 944], [8, 984, 1], [56, 860]]);
const LAPEL_SHADES = pair([[60, 740], [92, 760], [86, 850], [20, 990], [-10, 980], [40, 860]]);
const STRIPES = lines([[222, 806], [180, 866], [108, 926], [-8, 968]]);
const FINE_STRIPES = lines([[206, 796], [166, 850], [100, 906], [0, 946]]);
const LAPEL_RIMS = lines([[74, 738], [150, 762], [226, 822]]);
const LAPEL_FRONTS = lines([[226, 822], [196, 880], [120, 944], [8, 984]]);
const LAPEL_INNERS = lines([[74, 738], [56, 860], [6, 984]]);

const SCARF_LOOPS = pair([[6, 970], [60, 938], [92, 952], [86, 998], [50, 1010], [8, 992]]);
const SCARF_TAILS = pair([[4, 984], [40, 1040], [62, 1120, 1], [36, 1112], [14, 1136, 1], [2, 1050]]);
const SCARF_KNOT = ellipse(0, 980, 19, 21).slice();

export function paintHood(ctx, rig, colours) {
  const hood = rig.body(HOOD, -60);
  fill(ctx, hood, colours.clothShade);
  outline(ctx, hood, 6, colours.clothLine);
}

export function paintBody(ctx, rig, colours) {
  const torso = rig.body(TORSO, 0);
  fill(ctx, torso, colours.cloth);
  ctx.save();
  trace(ctx, torso);
  ctx.clip();
  for (const fold of FOLDS) fill(ctx, rig.body(fold, 20), colours.clothShade);
  fill(ctx, rig.body(SHOULDER_LIGHT, 10), colours.clothLight);
  ctx.fillStyle = colours.clothLine;
  for (const seam of SLEEVE_SEAMS) ink(ctx, rig.body(seam, 20), 6, WEIGHT.grow);
  for (const crease of SLEEVE_CREASES) ink(ctx, rig.body(crease, 10), 4.5, WEIGHT.fall);
  ctx.restore();
  outline(ctx, torso, 7, colours.clothLine);
}

/** Skin at the neck's foot, shirt, collar with its stripes. */
export function paintCollar(ctx, rig, colours) {
  const neckline = rig.body(NECKLINE, 20);
  fill(ctx, neckline, colours.skin);
  ctx.save();
  trace(ctx, neckline);
  ctx.clip();
  fill(ctx, rig.body(SHIRT, 24), colours.shirt);
  fill(ctx, rig.body(SHIRT_SHADE, 24), colours.shirtShade);
  ctx.fillStyle = colours.skinLine;
  ink(ctx, rig.body(SHIRT_RIM, 24), 3.4, WEIGHT.even);
  for (const bone of COLLARBONES) ink(ctx, rig.body(bone, 20), 3.2, WEIGHT.taper);
  ctx.restore();
  for (const side of [0, 1]) {
    const lapel = rig.body(LAPELS[side], 30);
    fill(ctx, lapel, colours.collar);
    ctx.save();
    trace(ctx, lapel);
    ctx.clip();
    fill(ctx, rig.body(LAPEL_SHADES[side], 30), colours.collarShade);
    ctx.fillStyle = colours.accent;
    ink(ctx, rig.body(STRIPES[side], 30), 10, WEIGHT.even);
    ink(ctx, rig.body(FINE_STRIPES[side], 30), 3.5, WEIGHT.even);
    ctx.restore();
    ctx.fillStyle = colours.clothLine;
    ink(ctx, rig.body(LAPEL_RIMS[side], 30), 4, WEIGHT.taper);
    ink(ctx, rig.body(LAPEL_FRONTS[side], 30), 5.5, WEIGHT.hair);
    ink(ctx, rig.body(LAPEL_INNERS[side], 30), 5, WEIGHT.hair);
  }
}

/** The scarf below the collar; `swing` is how far its tails trail to the side. */
export function paintScarf(ctx, rig, colours, swing) {
  const tones = [colours.accentShade, colours.accent];
  const piece = (points, tone) => {
    fill(ctx, points, tone);
    outline(ctx, points, 5, colours.ribbonLine);
  };
  for (const side of [1, 0]) {
    const tail = rig.body(SCARF_TAILS[side], 45);
    for (let i = 0; i < tail.length; i += 2) tail[i] += swing * Math.max(0, (SCARF_TAILS[side][i + 1] - 984) / 140);
    piece(tail, tones[side]);
  }
  for (const side of [1, 0]) piece(rig.body(SCARF_LOOPS[side], 45), tones[side]);
  piece(rig.body(SCARF_KNOT, 50), colours.accent);
}
