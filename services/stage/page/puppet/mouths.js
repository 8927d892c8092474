// Mouth shapes as a table, and their blend.

/*
 * A mouth is two lips over seven places from corner to corner. `width`: half-width in units; `up`, `down`: height of
 * the lips below the mouth's line when fully open; `teeth`, `tongue`: how much of them shows.
 */
export const MOUTHS = {
  closed: { width: 34, up: [0, 0, 0, 0, 0, 0, 0], down: [0, 0, 0, 0, 0, 0, 0], teeth: 0, tongue: 0 },
  smile: { width: 58, up: [-9, -2, 0, 1, 0, -2, -9], down: [-9, 26, 44, 50, 44, 26, -9], teeth: 1, tongue: 1 },
  A: { width: 44, up: [0, -7, -11, -12, -11, -7, 0], down: [0, 28, 48, 55, 48, 28, 0], teeth: 0.8, tongue: 1 },
  I: { width: 55, up: [-3, -6, -7, -7, -7, -6, -3], down: [-3, 10, 15, 17, 15, 10, -3], teeth: 1.6, tongue: 0 },
  U: { width: 20, up: [2, -6, -11, -13, -11, -6, 2], down: [2, 10, 16, 18, 16, 10, 2], teeth: 0, tongue: 0.2 },
  E: { width: 50, up: [-2, -8, -10, -10, -10, -8, -2], down: [-2, 22, 29, 30, 29, 22, -2], teeth: 1, tongue: 0.8 },
  O: { width: 31, up: [6, -11, -21, -25, -21, -11, 6], down: [6, 24, 35, 39, 35, 24, 6], teeth: 0, tongue: 0.6 },
  N: { width: 38, up: [0, -2, -3, -2, -3, -2, 0], down: [0, 3, 4, 5, 4, 3, 0], teeth: 0, tongue: 0 },
  frown: { width: 40, up: [10, -6, -12, -13, -12, -6, 10], down: [10, 15, 17, 17, 17, 15, 10], teeth: 0.6, tongue: 0.3 },
};

/** Weights by shape from `{ shape, open }` or `{ A: .4, I: .6 }`; throws on a name that is not in the table. */
export function mouthWeights(mouth) {
  const named = "shape" in mouth;
  const weights = named ? { [mouth.shape]: mouth.open ?? 1 } : mouth;
  for (const name of Object.keys(weights)) {
    if (!Object.hasOwn(MOUTHS, name)) throw new Error(`mouth shape "${name}" is unknown; there are ${Object.keys(MOUTHS).join(", ")}`);
  }
  return weights;
}

const CLOSED = MOUTHS.closed;
const SPOKEN = 0.7; // share of the mood's bend that is left in a wide open mouth: she speaks sadly with its corners down

/** The mouth of some weights: what is missing to 1 is the closed mouth, whose line the mood bends. */
export function blend(weights, face) {
  const total = Object.values(weights).reduce((sum, w) => sum + w, 0);
  const scale = total > 1 ? 1 / total : 1;
  const rest = 1 - total * scale;
  const restWidth = CLOSED.width * face.lipWidth;
  const mouth = { width: restWidth * rest, up: [], down: [], teeth: 0, tongue: 0, open: 0 };
  for (let i = 0; i < 7; i++) {
    const u = (i - 3) / 3;
    const line = -15 * face.lip * (u * u - 0.4) + 4 * face.wave * Math.sin(1.5 * Math.PI * Math.sin((u * Math.PI) / 2));
    mouth.up.push(line * (SPOKEN + (1 - SPOKEN) * rest));
    mouth.down.push(line * (SPOKEN + (1 - SPOKEN) * rest));
  }
  for (const [name, weight] of Object.entries(weights)) {
    const [shape, share] = [MOUTHS[name], weight * scale];
    mouth.width += shape.width * share;
    mouth.teeth += shape.teeth * share;
    mouth.tongue += shape.tongue * share;
    for (let i = 0; i < 7; i++) {
      mouth.up[i] += shape.up[i] * share;
      mouth.down[i] += shape.down[i] * share;
    }
  }
  mouth.open = mouth.down[3] - mouth.up[3];
  return mouth;
}
