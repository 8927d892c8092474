// The hair as a table of strands. A strand is a spine from root to tip with a half-width at every anchor; it is drawn
// tapered, cel-shaded along one side and hung on a chain of springs.

/*
 * name, layer, spine [x, y, half-width] root to tip, depth [root, tip], and how it moves and looks:
 *   hertz, gain: speed of its springs and how far it swings; shade: side in shadow (-1 left, 1 right, 0 all of it);
 *   shine: share of the length where the light band lies; hang: how much it keeps to the vertical when the head rolls.
 */
export const STRANDS = [
  // behind everything: the long back hair, darkest
  { name: "back-far-left", layer: "back", spine: [[-120, 330, 70], [-225, 520, 78], [-262, 720, 66], [-300, 905, 34], [-338, 985, 0]], depth: [-70, -60], hertz: 1.5, gain: 1.3, shade: 1, hang: 0.8 },
  { name: "back-left", layer: "back", spine: [[-90, 330, 80], [-165, 540, 86], [-195, 760, 74], [-205, 950, 36], [-232, 1040, 0]], depth: [-85, -70], hertz: 1.4, gain: 1.3, shade: 1, hang: 0.8 },
  { name: "back-middle-left", layer: "back", spine: [[-40, 330, 90], [-60, 560, 92], [-85, 800, 76], [-80, 960, 40], [-96, 1060, 0]], depth: [-95, -80], hertz: 1.35, gain: 1.2, shade: 0, hang: 0.8 },
  { name: "back-middle-right", layer: "back", spine: [[40, 330, 90], [70, 560, 92], [95, 800, 72], [85, 950, 38], [104, 1050, 0]], depth: [-95, -80], hertz: 1.4, gain: 1.2, shade: 0, hang: 0.8 },
  { name: "back-right", layer: "back", spine: [[110, 330, 76], [190, 530, 82], [222, 740, 66], [215, 900, 32], [246, 985, 0]], depth: [-80, -65], hertz: 1.5, gain: 1.3, shade: -1, hang: 0.8 },
  // the side tail that springs from the ribbon
  { name: "tail-under", layer: "tail", spine: [[190, 205, 22], [285, 225, 52], [352, 360, 62], [352, 540, 56], [318, 700, 34], [338, 800, 0]], depth: [-30, -40], hertz: 1.7, gain: 1.7, shade: 0, hang: 0.9 },
  { name: "tail-outer", layer: "tail", spine: [[195, 190, 22], [310, 190, 46], [398, 320, 54], [420, 500, 46], [398, 640, 26], [436, 720, 0]], depth: [-25, -30], hertz: 1.9, gain: 1.8, shade: 1, shine: [0.36, 0.47], hang: 0.9 },
  { name: "tail-main", layer: "tail", spine: [[185, 205, 20], [278, 200, 44], [352, 318, 58], [372, 500, 56], [342, 690, 38], [372, 842, 0]], depth: [-20, -30], hertz: 1.6, gain: 1.8, shade: 1, shine: [0.34, 0.45], hang: 0.9 },
  { name: "tail-inner", layer: "tail", spine: [[180, 220, 14], [248, 240, 26], [300, 350, 32], [312, 510, 28], [280, 650, 14], [292, 716, 0]], depth: [-15, -25], hertz: 2.0, gain: 1.7, shade: 1, shine: [0.38, 0.47], hang: 0.9 },
  // in front of the ears, down over the shoulders
  { name: "side-left-back", layer: "side", spine: [[-190, 290, 20], [-232, 420, 38], [-240, 580, 36], [-232, 740, 24], [-262, 868, 0]], depth: [30, 20], hertz: 1.9, gain: 1.5, shade: -1, hang: 0.85 },
  { name: "side-right-back", layer: "side", spine: [[190, 290, 20], [230, 420, 36], [236, 570, 34], [226, 710, 20], [250, 812, 0]], depth: [30, 20], hertz: 2.0, gain: 1.5, shade: 1, hang: 0.85 },
  { name: "side-left", layer: "side", spine: [[-165, 265, 16], [-212, 380, 32], [-206, 530, 34], [-186, 680, 26], [-204, 822, 0]], depth: [70, 50], hertz: 2.1, gain: 1.4, shade: -1, shine: [0.13, 0.2], hang: 0.85 },
  { name: "side-right", layer: "side", spine: [[165, 265, 16], [212, 380, 32], [208, 530, 32], [190, 660, 22], [204, 776, 0]], depth: [70, 50], hertz: 2.2, gain: 1.4, shade: 1, shine: [0.13, 0.2], hang: 0.85 },
  { name: "wisp-left", layer: "side", spine: [[-186, 330, 6], [-190, 440, 11], [-168, 560, 10], [-150, 660, 0]], depth: [80, 90], hertz: 2.6, gain: 1.4, shade: -1, hang: 0.85 },
  { name: "wisp-right", layer: "side", spine: [[186, 330, 6], [192, 440, 10], [174, 540, 9], [160, 622, 0]], depth: [80, 90], hertz: 2.7, gain: 1.4, shade: 1, hang: 0.85 },
  // the fringe, outside in: later rows lie over earlier ones
  { name: "fringe-left-4", layer: "front", spine: [[-30, 168, 34], [-150, 220, 46], [-206, 330, 34], [-196, 420, 18], [-206, 486, 0]], depth: [150, 90], hertz: 2.8, gain: 0.8, shade: -1, shine: [0.4, 0.5], hang: 0.5 },
  { name: "fringe-right-4", layer: "front", spine: [[60, 168, 34], [160, 222, 44], [208, 330, 32], [200, 410, 17], [210, 474, 0]], depth: [150, 90], hertz: 2.8, gain: 0.8, shade: 1, shine: [0.4, 0.5], hang: 0.5 },
  { name: "fringe-left-3", layer: "front", spine: [[-6, 160, 30], [-112, 222, 46], [-162, 320, 36], [-150, 392, 16], [-162, 442, 0]], depth: [170, 140], hertz: 3.0, gain: 0.8, shade: -1, shine: [0.38, 0.5], hang: 0.5 },
  { name: "fringe-right-3", layer: "front", spine: [[52, 160, 30], [130, 222, 42], [168, 320, 34], [152, 392, 15], [166, 438, 0]], depth: [170, 140], hertz: 3.0, gain: 0.8, shade: 1, shine: [0.38, 0.5], hang: 0.5 },
  { name: "fringe-right-2", layer: "front", spine: [[44, 156, 28], [96, 224, 40], [112, 318, 32], [84, 384, 14], [90, 424, 0]], depth: [180, 170], hertz: 3.2, gain: 0.8, shade: 1, shine: [0.38, 0.51], hang: 0.5 },
  { name: "fringe-left-2", layer: "front", spine: [[14, 156, 30], [-62, 226, 44], [-100, 318, 36], [-78, 386, 16], [-88, 430, 0]], depth: [180, 170], hertz: 3.1, gain: 0.8, shade: -1, shine: [0.37, 0.5], hang: 0.5 },
  { name: "fringe-middle", layer: "front", spine: [[30, 152, 28], [22, 226, 44], [10, 320, 36], [-14, 402, 16], [-8, 458, 0]], depth: [186, 190], hertz: 3.0, gain: 0.9, shade: 1, shine: [0.34, 0.47], hang: 0.5 },
  { name: "fringe-stray", layer: "front", spine: [[36, 160, 5], [56, 246, 12], [52, 340, 10], [28, 420, 0]], depth: [190, 190], hertz: 3.4, gain: 1.0, shade: 1, hang: 0.5 },
  // and the one that never lies down
  { name: "ahoge", layer: "ahoge", spine: [[8, 150, 7], [-18, 92, 15], [-6, 44, 15], [48, 26, 9], [88, 52, 0]], depth: [60, 60], hertz: 3.2, gain: -1.6, shade: 1, hang: 0.1 },
];

/** Outline of the hair on top of the head: under the fringe, over the forehead. */
export const CAP = [
  [22, 128], [104, 140], [178, 190], [226, 280], [240, 390], [228, 470, 1], [196, 400], [168, 320], [96, 262],
  [0, 250], [-96, 262], [-168, 320], [-196, 400], [-228, 470, 1], [-240, 390], [-228, 280], [-180, 192], [-92, 140],
];

/** Outline of the mass behind the head. */
export const BACK = [
  [0, 140], [150, 170], [240, 300], [262, 460], [258, 640], [236, 800], [0, 860], [-240, 820], [-266, 640],
  [-264, 460], [-242, 300], [-150, 170],
];
