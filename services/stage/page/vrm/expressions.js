// From what she does to the weights of a VRM's expressions.

// mouth shape -> expressions at full openness
const MOUTH = {
  A: { aa: 1 },
  I: { ih: 1 },
  U: { ou: 1 },
  E: { ee: 1 },
  O: { oh: 1 },
  N: { ih: 0.1, ou: 0.12 },
  smile: { ih: 0.5, aa: 0.25 },
};

// mood -> expressions at full strength; VRM has five and she has eight
const MOODS = {
  happy: { happy: 1 },
  excited: { happy: 0.7, surprised: 0.3 },
  shy: { relaxed: 0.4, sad: 0.3 },
  sad: { sad: 1 },
  surprised: { surprised: 1 },
  annoyed: { angry: 0.85 },
  thinking: { relaxed: 0.3, angry: 0.15 },
};

const PEEK = 0.5; // share of a joy that shuts the eyes that is left while she has a look
const SPOKEN = 0.65; // share of a mood that is left while she speaks: it moves the mouth too

function add(weights, table, amounts, share) {
  for (const [name, parts] of Object.entries(table)) {
    for (const [expression, part] of Object.entries(parts)) {
      weights[expression] = (weights[expression] ?? 0) + part * amounts[name] * share;
    }
  }
}

/** Weights from 0 to 1 by the names of VRM 1.0's presets, of an Actor as it is now. */
export function expressionWeights({ mouthNow, moodsNow, poseNow, peek, closing }) {
  const weights = {};
  add(weights, MOODS, moodsNow, SPOKEN + (1 - SPOKEN) * poseNow.rest);
  weights.happy *= 1 - (1 - PEEK) * peek;
  const spoken = Object.values(mouthNow).reduce((sum, weight) => sum + weight, 0);
  add(weights, MOUTH, mouthNow, spoken > 1 ? 1 / spoken : 1);
  weights.blink = closing * (1 - weights.happy); // joy has half shut the lids: closing them twice would cross them
  return weights;
}

/** Functions that set each expression the model has; 0.x models may write a name in capitals ("Surprised"). */
export function setters(manager) {
  const names = new Map((manager?.expressions ?? []).map((each) => [each.expressionName.toLowerCase(), each.expressionName]));
  return (weights) => {
    for (const [name, weight] of Object.entries(weights)) {
      const own = names.get(name.toLowerCase());
      if (own !== undefined) manager.setValue(own, weight);
    }
  };
}
