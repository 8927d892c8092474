// Small things she wears: a hairpin of madder leaves with a golden berry, and the cords of her hood.

import { curve, ellipse, fill, ink, outline, spline, WEIGHT } from "./curve.js";

const PIN = { x: -168, y: 322 };
const LEAF = [[0, 0, 1], [12, -14], [13, -34], [0, -56, 1], [-13, -34], [-12, -14]];
const LEAVES = [-2.05, -1.2, -0.35, 0.5].map((angle) => {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const turn = ([x, y, corner]) => [PIN.x + x * cos - y * sin, PIN.y + x * sin + y * cos, corner];
  return {
    outline: spline(LEAF.map(turn), true, 5),
    shade: spline([[0, -2, 1], [12, -14], [13, -34], [0, -54, 1]].map(turn), true, 5),
    rib: spline([[0, -4], [0, -40]].map(turn), false, 6),
  };
});
const BERRY = ellipse(PIN.x, PIN.y, 14, 14, 20).slice();
const GLINT = ellipse(PIN.x - 4, PIN.y - 5, 4, 4, 10).slice();

export function paintHairpin(ctx, rig, colours) {
  const on = (points, extra) => rig.face(points, extra);
  for (const leaf of LEAVES) {
    const placed = on(leaf.outline, 40);
    fill(ctx, placed, colours.leaf);
    fill(ctx, on(leaf.shade, 40), colours.leafShade);
    outline(ctx, placed, 4.6, colours.leafLine);
    ctx.fillStyle = colours.leafLine;
    ink(ctx, on(leaf.rib, 40), 3, WEIGHT.fall);
  }
  const berry = on(BERRY, 46);
  fill(ctx, berry, colours.gold);
  outline(ctx, berry, 5, colours.goldLine);
  fill(ctx, on(GLINT, 47), "#fff8e0");
}

/** Cords that hang from the collar; `swing` is how far their ends trail to the side. */
export function paintCords(ctx, rig, colours, swing) {
  for (const side of [-1, 1]) {
    const end = [side * 104 + swing * 1.3, 1120];
    const cord = rig.body(curve([[side * 92, 948], [side * 100 + swing * 0.3, 1030], end], false, 8), 40);
    ctx.fillStyle = colours.clothLine;
    ink(ctx, cord, 15, WEIGHT.even);
    ctx.fillStyle = colours.collar;
    ink(ctx, cord, 8, WEIGHT.even);
    const bead = rig.body(ellipse(end[0], end[1] + 10, 11, 17, 18), 40);
    fill(ctx, bead, colours.gold);
    outline(ctx, bead, 5, colours.goldLine);
  }
}
