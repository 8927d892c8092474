// Her hands and sleeves as tables of shapes. Frame of an arm: the cuff's opening lies at (0, 0), the hand reaches up (-y),
// the sleeve hangs down; drawn as the arm to the viewer's right.

import { ellipse, spline } from "./curve.js";

const ROUND = [[-0.72, 0.7], [0, 1], [0.72, 0.7]]; // an end of a finger: across and along, in half-widths

/** A closed shape round `spine` ([x, y, half-width] from root to tip), rounded at both ends: a finger. */
function tube(spine) {
  const last = spine.length - 1;
  // the point `across` to its left and `along` towards the tip from spine point i
  const at = (i, across, along) => {
    const [[fromX, fromY], [toX, toY]] = [spine[Math.max(0, i - 1)], spine[Math.min(last, i + 1)]];
    const [x, y, half] = spine[i];
    const reach = half / Math.hypot(toX - fromX, toY - fromY);
    const [dx, dy] = [(toX - fromX) * reach, (toY - fromY) * reach];
    return [x + across * dy + along * dx, y - across * dx + along * dy];
  };
  const side = (across) => spine.map((_, i) => at(i, across, 0));
  const end = (i, turn) => ROUND.map(([across, along]) => at(i, -turn * across, turn * along));
  return [...side(1), ...end(last, 1), ...side(-1).reverse(), ...end(0, -1)];
}

const closed = (anchors) => spline(anchors, true, 5);
const open = (anchors) => spline(anchors, false, 5);
const part = (anchors) => ({ shape: closed(anchors), outlined: true });
const finger = (...spine) => part(tube(spine));
/** Skin without a line, over the roots of fingers, so that they grow out of the hand. */
const web = (anchors) => ({ shape: closed(anchors), outlined: false });

const nail = (...spine) => ({ shape: closed(tube(spine)), outlined: true, isNail: true });

// name -> parts from back to front, then lines within them
const DRAWN = {
  // palm to the viewer, four curled fingers, the thumb across them
  fist: {
    parts: [
      part([[-36, 24], [-50, -20], [-56, -66], [-34, -104], [20, -108], [54, -88], [58, -44], [40, 24]]),
      finger([46, -84, 15], [47, -60, 16], [42, -42, 13]),
      finger([20, -97, 17], [21, -64, 17.5], [17, -38, 14]),
      finger([-11, -104, 17.5], [-10, -74, 18], [-12, -50, 15]),
      finger([-42, -97, 17], [-42, -72, 18], [-38, -50, 15]),
      finger([-52, 0, 18], [-52, -30, 20], [-22, -46, 18], [10, -46, 13.5]),
      nail([11, -48, 5.5], [17, -48, 5]),
      web([[-32, 24], [-60, 0], [-40, -26], [-14, -20], [14, -12], [24, 24]]),
    ],
    lines: [[[38, -70], [46, -66], [54, -70]], [[12, -76], [21, -72], [30, -76]]],
  },
  // back of the hand to the viewer, the index stretched, the thumb along it
  point: {
    parts: [
      part([[-38, 24], [-48, -30], [-46, -80], [-10, -100], [30, -98], [46, -60], [40, 24]]),
      finger([30, -70, 17], [32, -116, 16.5], [29, -160, 14], [27, -182, 11.5]),
      finger([6, -76, 16], [7, -110, 17.5], [4, -124, 15]),
      finger([-19, -72, 15.5], [-19, -104, 17], [-20, -116, 14.5]),
      finger([-41, -62, 13.5], [-42, -90, 15], [-41, -102, 12.5]),
      web([[-36, 24], [-46, -30], [-52, -72], [-20, -84], [20, -86], [44, -76], [42, -30], [38, 24]]),
      finger([36, -20, 18], [56, -62, 17.5], [54, -104, 13.5]),
      nail([55, -104, 6], [54, -111, 5.5]),
      web([[10, 20], [20, -40], [40, -50], [44, -20], [38, 20]]),
    ],
    lines: [[[26, -40], [34, -24], [36, -8]]],
  },
  // seen from the little finger's side: three fingers curled before the chin, the index up along the cheek
  think: {
    parts: [
      finger([20, -76, 19], [24, -124, 19], [18, -172, 16.5], [9, -202, 13]),
      finger([-16, -50, 19], [-50, -90, 18], [-64, -124, 14]),
      part([[-34, 24], [-38, -30], [-28, -76], [4, -102], [34, -104], [52, -78], [52, -30], [38, 24]]),
      finger([18, -85, 16], [-20, -92, 18], [-54, -80, 15]),
      finger([20, -60, 16], [-24, -62, 17.5], [-58, -50, 14.5]),
      finger([20, -36, 15], [-18, -33, 16], [-48, -22, 13.5]),
      web([[6, -90], [26, -99], [45, -80], [45, -30], [30, 24], [-20, 24], [10, -24], [14, -60]]),
    ],
    lines: [[[34, -96], [42, -86], [43, -74]]],
  },
};

/** Name of a hand -> its parts and lines as dense points. */
export const HANDS = Object.fromEntries(Object.entries(DRAWN).map(([name, { parts, lines }]) => [name, { parts, lines: lines.map(open) }]));

/** The sleeve: its far inner side, outline, what lies on it (clipped to the outline), light along its edges. */
export const SLEEVE = {
  inside: ellipse(0, 4, 55, 17).slice(),
  outline: closed([[-57, 2, 1], [-30, 17], [0, 21], [30, 17], [57, 2, 1], [74, 110], [94, 320], [112, 640], [-88, 640], [-80, 320], [-70, 110]]),
  shade: closed([[24, 10], [57, 2], [78, 110], [98, 320], [118, 640], [34, 640], [44, 330], [10, 200], [40, 96]]),
  cuff: open([[-62, 20], [-30, 36], [0, 40], [30, 36], [62, 20]]),
  cuffShade: open([[14, 40], [34, 36], [62, 22]]),
  stripe: open([[-66, 58], [-31, 74], [0, 78], [31, 74], [66, 58]]),
  creases: [[[-72, 126], [-38, 146], [-4, 146]], [[78, 170], [46, 200], [12, 208]], [[-76, 216], [-50, 228], [-28, 228]]].map(open),
  light: [[[-66, 70], [-62, 120], [-71, 320], [-78, 620]], [[67, 80], [66, 120], [85, 320], [101, 620]]].map(open),
};
