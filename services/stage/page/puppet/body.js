// Shoulders and clothes: a dark hoodie with a sailor collar, a scarf and cords.

import { ellipse, fill, ink, mirrored, outline, spline, trace, WEIGHT } from "./curve.js";

const closed = (anchors) => spline(anchors, true, 12);
const open = (anchors) => spline(anchors, false, 10);
const both = (draw) => [-1, 1].forEach(draw);

const HOOD = closed([[0, 690], [96, 694], [176, 742], [214, 806], [150, 850], [0, 860], [-150, 850], [-214, 806], [-176, 742], [-96, 694]]);
const TORSO = closed(
  mirrored([[0, 770], [112, 772], [196, 800], [262, 842], [308, 912], [336, 1040], [352, 1230, 1]]),
);
const SHIRT = closed([[-54, 742], [54, 742], [100, 776], [84, 870], [0, 980], [-84, 870], [-100, 776]]);
const COLLARBONE = [[-70, 796], [-34, 806], [-10, 802]];

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
  paintFolds(ctx, rig, colours);
  ctx.restore();
  outline(ctx, torso, 7, colours.clothLine);
}

function paintFolds(ctx, rig, colours) {
  const shade = [
    [[230, 900], [214, 1010], [226, 1230], [380, 1230], [350, 900], [300, 860]],
    [[-206, 940], [-196, 1040], [-214, 1230], [-262, 1230], [-246, 1060]],
    [[-90, 930], [0, 1000], [90, 930], [150, 900], [120, 990], [20, 1060], [-70, 1010]],
    [[60, 1100], [130, 1130], [200, 1120], [206, 1230], [90, 1230]],
  ];
  for (const anchors of shade) fill(ctx, rig.body(closed(anchors), 20), colours.clothShade);
  fill(ctx, rig.body(closed([[-206, 812], [-258, 850], [-298, 914], [-318, 990], [-300, 930], [-262, 878]]), 10), colours.clothLight);
  ctx.fillStyle = colours.clothLine;
  both((side) => ink(ctx, rig.body(open([[side * 214, 920], [side * 200, 1010], [side * 214, 1110], [side * 208, 1230]]), 20), 6, WEIGHT.grow));
  both((side) => ink(ctx, rig.body(open([[side * 214, 950], [side * 244, 990], [side * 258, 1040]]), 10), 4.5, WEIGHT.fall));
}

/** Shirt, skin at the neck's foot, collar with its stripes. */
export function paintCollar(ctx, rig, colours) {
  const shirt = rig.body(SHIRT, 20);
  fill(ctx, shirt, colours.skin);
  ctx.save();
  trace(ctx, shirt);
  ctx.clip();
  fill(ctx, rig.body(closed([[-100, 846], [0, 866], [100, 846], [60, 960], [-60, 960]]), 24), colours.shirt);
  fill(ctx, rig.body(closed([[0, 866], [100, 846], [60, 960], [0, 960]]), 24), colours.shirtShade);
  ctx.fillStyle = colours.skinLine;
  ink(ctx, rig.body(open([[-66, 852], [0, 866], [66, 852]]), 24), 3.4, WEIGHT.even);
  both((side) => ink(ctx, rig.body(open(COLLARBONE.map(([x, y]) => [side * x, y])), 20), 3.2, WEIGHT.taper));
  ctx.restore();
  both((side) => {
    const lapel = rig.body(closed([[side * 74, 738, 1], [side * 150, 762], [side * 226, 822, 1], [side * 196, 880], [side * 120, 944], [side * 8, 984, 1], [side * 56, 860]]), 30);
    fill(ctx, lapel, colours.collar);
    ctx.save();
    trace(ctx, lapel);
    ctx.clip();
    const shade = closed([[side * 60, 740], [side * 92, 760], [side * 86, 850], [side * 20, 990], [side * -10, 980], [side * 40, 860]]);
    fill(ctx, rig.body(shade, 30), colours.collarShade);
    ctx.fillStyle = colours.accent;
    ink(ctx, rig.body(open([[side * 222, 806], [side * 180, 866], [side * 108, 926], [side * -8, 968]]), 30), 10, WEIGHT.even);
    ink(ctx, rig.body(open([[side * 206, 796], [side * 166, 850], [side * 100, 906], [side * 0, 946]]), 30), 3.5, WEIGHT.even);
    ctx.restore();
    ctx.fillStyle = colours.clothLine;
    const rim = [[side * 74, 738], [side * 150, 762], [side * 226, 822]];
    const front = [[side * 226, 822], [side * 196, 880], [side * 120, 944], [side * 8, 984]];
    const inner = [[side * 74, 738], [side * 56, 860], [side * 6, 984]];
    ink(ctx, rig.body(open(rim), 30), 4, WEIGHT.taper);
    ink(ctx, rig.body(open(front), 30), 5.5, WEIGHT.hair);
    ink(ctx, rig.body(open(inner), 30), 5, WEIGHT.hair);
  });
}

/** The scarf below the collar; `swing` is how far its tails trail to the side. */
export function paintScarf(ctx, rig, colours, swing) {
  const piece = (anchors, tone) => {
    const placed = rig.body(closed(anchors), 45);
    fill(ctx, placed, tone);
    outline(ctx, placed, 5, colours.ribbonLine);
  };
  both((side) =>
    piece([[side * 4, 984], [side * 40, 1040], [side * 62 + swing, 1120, 1], [side * 36 + swing, 1112], [side * 14 + swing, 1136, 1], [side * 2, 1050]], side < 0 ? colours.accent : colours.accentShade),
  );
  both((side) => piece([[side * 6, 970], [side * 60, 938], [side * 92, 952], [side * 86, 998], [side * 50, 1010], [side * 8, 992]], side < 0 ? colours.accent : colours.accentShade));
  const knot = rig.body(ellipse(0, 980, 19, 21), 50);
  fill(ctx, knot, colours.accent);
  outline(ctx, knot, 5, colours.ribbonLine);
}
