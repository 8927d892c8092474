// The hair as a table of strands. A strand is a spine from root to tip with a half-width at every anchor; it is drawn
// tapered, cel-shaded along one side and hung on a chain of springs.

/*
 * name, layer, spine [x, y, half-width] root to tip, depth [root, tip], and how it moves and looks:
 *   tone: colours of another layer; hertz, gain: speed of its springs and how far it swings; shade: side in shadow (-1 left, 1 right, 0 all of it);
 *   shine: share of the length where the light band lies; hang: how much it keeps to the vertical when the head rolls.
 */
export const STRANDS = [
  // behind everything: the long back hair, darkest
  { name: "back-far-left", layer: "back", spine: [[-130, 330, 70], [-222, 520, 84], [-262, 740, 72], [-300, 920, 36], [-352, 1010, 0]], depth: [-70, -60], hertz: 1.5, gain: 1.3, shade: 1, hang: 0.8 },
  { name: "back-flick-left", layer: "back", spine: [[-190, 480, 30], [-262, 640, 46], [-290, 780, 34], [-376, 900, 0]], depth: [-50, -50], hertz: 1.7, gain: 1.5, shade: 1, hang: 0.8 },
  { name: "back-left", layer: "back", spine: [[-90, 330, 80], [-165, 540, 90], [-200, 780, 80], [-214, 980, 40], [-250, 1090, 0]], depth: [-85, -70], hertz: 1.4, gain: 1.3, shade: 1, hang: 0.8 },
  { name: "back-middle", layer: "back", spine: [[0, 330, 120], [0, 560, 150], [0, 860, 130], [0, 1060, 0]], depth: [-95, -80], hertz: 1.35, gain: 1.2, shade: 0, hang: 0.8 },
  { name: "back-right", layer: "back", spine: [[110, 330, 76], [180, 530, 86], [210, 740, 72], [216, 900, 36], [252, 1010, 0]], depth: [-80, -65], hertz: 1.5, gain: 1.3, shade: -1, hang: 0.8 },
  // the side tail that springs from the ribbon
  { name: "tail-under", layer: "tail", spine: [[190, 215, 26], [290, 270, 64], [338, 430, 76], [330, 600, 64], [290, 760, 30], [300, 880, 0]], depth: [-30, -40], hertz: 1.7, gain: 1.7, tone: "back", shade: 0, hang: 0.9 },
  { name: "tail-outer", layer: "tail", spine: [[200, 190, 20], [318, 200, 40], [404, 330, 50], [428, 490, 44], [424, 620, 24], [474, 716, 0]], depth: [-25, -30], hertz: 1.9, gain: 1.8, shade: 1, shine: [0.33, 0.4], hang: 0.9 },
  { name: "tail-main", layer: "tail", spine: [[190, 200, 22], [286, 214, 52], [358, 340, 68], [374, 520, 66], [352, 690, 40], [396, 840, 0]], depth: [-20, -30], hertz: 1.6, gain: 1.8, shade: 1, shine: [0.31, 0.39], hang: 0.9 },
  { name: "tail-inner", layer: "tail", spine: [[185, 220, 14], [258, 262, 26], [296, 390, 30], [298, 540, 24], [262, 690, 0]], depth: [-15, -25], hertz: 2.0, gain: 1.7, shade: 1, shine: [0.36, 0.42], hang: 0.9 },
  // in front of the ears, down over the shoulders
  { name: "side-left-back", layer: "side", spine: [[-190, 280, 22], [-232, 420, 44], [-244, 590, 44], [-244, 750, 28], [-284, 900, 0]], depth: [30, 20], hertz: 1.9, gain: 1.5, tone: "back", shade: -1, hang: 0.85 },
  { name: "side-right-back", layer: "side", spine: [[190, 280, 22], [230, 420, 42], [240, 570, 40], [236, 710, 24], [270, 830, 0]], depth: [30, 20], hertz: 2.0, gain: 1.5, tone: "back", shade: 1, hang: 0.85 },
  { name: "side-left", layer: "side", spine: [[-170, 255, 18], [-214, 380, 36], [-214, 540, 40], [-192, 700, 28], [-172, 850, 0]], depth: [70, 50], hertz: 2.1, gain: 1.4, shade: -1, shine: [0.17, 0.24], hang: 0.85 },
  { name: "side-right", layer: "side", spine: [[170, 255, 18], [214, 380, 35], [214, 530, 38], [194, 680, 26], [176, 806, 0]], depth: [70, 50], hertz: 2.2, gain: 1.4, shade: 1, shine: [0.17, 0.24], hang: 0.85 },
  { name: "wisp-left", layer: "side", spine: [[-190, 340, 8], [-196, 450, 13], [-178, 570, 9], [-136, 664, 0]], depth: [80, 90], hertz: 2.6, gain: 1.4, shade: -1, hang: 0.85 },
  { name: "wisp-right", layer: "side", spine: [[190, 340, 8], [196, 450, 12], [182, 550, 8], [146, 632, 0]], depth: [80, 90], hertz: 2.7, gain: 1.4, shade: 1, hang: 0.85 },
  // the fringe, outside in: later rows lie over earlier ones
  { name: "fringe-left-4", layer: "front", spine: [[-60, 176, 18], [-158, 236, 46], [-212, 350, 33], [-228, 510, 0]], depth: [150, 90], hertz: 2.8, gain: 0.8, shade: -1, shine: [0.31, 0.39], hang: 0.5 },
  { name: "fringe-right-4", layer: "front", spine: [[90, 176, 18], [166, 236, 44], [212, 350, 32], [228, 496, 0]], depth: [150, 90], hertz: 2.8, gain: 0.8, shade: 1, shine: [0.31, 0.39], hang: 0.5 },
  { name: "fringe-right-3", layer: "front", spine: [[70, 164, 18], [138, 222, 44], [172, 320, 36], [194, 440, 0]], depth: [170, 140], hertz: 3.0, gain: 0.8, shade: 1, shine: [0.37, 0.46], hang: 0.5 },
  { name: "fringe-left-3", layer: "front", spine: [[-26, 164, 18], [-112, 218, 48], [-164, 318, 40], [-192, 446, 0]], depth: [170, 140], hertz: 3.0, gain: 0.8, shade: 1, shine: [0.37, 0.46], hang: 0.5 },
  { name: "fringe-right-2", layer: "front", spine: [[50, 158, 18], [90, 218, 44], [112, 314, 36], [126, 414, 0]], depth: [180, 170], hertz: 3.2, gain: 0.8, shade: 1, shine: [0.37, 0.46], hang: 0.5 },
  { name: "fringe-left-2", layer: "front", spine: [[2, 158, 18], [-62, 216, 50], [-102, 314, 42], [-128, 424, 0]], depth: [180, 170], hertz: 3.1, gain: 0.8, shade: 1, shine: [0.37, 0.46], hang: 0.5 },
  { name: "fringe-middle-right", layer: "front", spine: [[42, 156, 16], [52, 224, 36], [50, 318, 28], [26, 424, 0]], depth: [186, 186], hertz: 3.2, gain: 0.9, shade: 1, shine: [0.35, 0.44], hang: 0.5 },
  { name: "fringe-middle", layer: "front", spine: [[26, 156, 18], [4, 222, 46], [-22, 322, 38], [-34, 466, 0]], depth: [186, 190], hertz: 3.0, gain: 0.9, shade: 1, shine: [0.33, 0.43], hang: 0.5 },
  // and the one that never lies down
  { name: "ahoge", layer: "ahoge", spine: [[4, 156, 7], [-34, 100, 16], [-40, 52, 15], [0, 22, 8], [44, 44, 0]], depth: [60, 60], hertz: 3.2, gain: -1.6, shade: 1, hang: 0.1 },
];

/** Outline of the hair on top of the head: under the fringe, over the forehead. */
export const CAP = [
  [22, 124], [104, 138], [178, 188], [226, 280], [240, 390], [228, 470, 1], [196, 400], [168, 320], [96, 262],
  [0, 250], [-96, 262], [-168, 320], [-196, 400], [-228, 470, 1], [-240, 390], [-228, 280], [-180, 190], [-86, 136],
];

/** Outline of the mass behind the head. */
export const BACK = [
  [0, 140], [150, 170], [240, 300], [262, 460], [258, 640], [236, 800], [0, 860], [-240, 820], [-266, 640],
  [-264, 460], [-242, 300], [-150, 170],
];

/** Lines on top of the head that show how the hair runs from the crown. */
export const FLOW = [
  [[14, 152], [-16, 184], [-34, 226]], [[44, 150], [74, 178], [90, 216]],
  [[-74, 150], [-154, 196], [-212, 290]],
];
