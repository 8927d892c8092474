// What she does with what she is told, whatever she is drawn with: eases mood, mouth, look and pose, and adds what nobody
// asks for (idle motion, breath, blinks, glances).

import { blink, glance, idleMotion, peeking, POSES } from "./idle.js";
import { MOODS, moodNumbers } from "./moods.js";
import { MOUTHS, mouthWeights } from "./mouths.js";
import { ease, STEP_S } from "./springs.js";

const LONGEST_S = 2; // after a longer gap (a hidden page) only this much is stepped through
const EASE = { mood: ease(0.16), mouth: ease(0.04), look: ease(0.16), eyes: ease(0.05), pose: ease(0.28) };

function approach(now, goal, share) {
  for (const key of Object.keys(now)) now[key] += ((goal[key] ?? 0) - now[key]) * share;
}

function known(table, name, what) {
  if (!Object.hasOwn(table, name)) throw new Error(`${what} "${name}" is unknown; there are ${Object.keys(table).join(", ")}`);
  return name;
}

const zeros = (table) => Object.fromEntries(Object.keys(table).map((name) => [name, 0]));

export class Actor {
  #mood = "neutral";
  #pose = "idle";
  #weights = {};
  #steps = null; // steps of STEP_S done since time 0

  /** The same `seed` blinks and sways the same way. */
  constructor(seed = 7) {
    this.seed = seed;
    this.moodStrength = 1;
    this.look = { x: 0, y: 0 };
    this.still = false;
    this.face = moodNumbers("neutral");
    this.moodsNow = { ...zeros(MOODS), neutral: 1 };
    this.mouthNow = zeros(MOUTHS);
    this.lookNow = { x: 0, y: 0 };
    this.eyesNow = { x: 0, y: 0 };
    this.poseNow = { ...POSES.idle };
    this.closing = 0; // of the lids, by blinking
    this.peek = 0;
    this.lively = 0;
    this.stance = null; // head, body and breath after a step, as Rig.set takes them
  }

  get mood() {
    return this.#mood;
  }

  set mood(name) {
    this.#mood = known(MOODS, name, "mood");
  }

  get pose() {
    return this.#pose;
  }

  set pose(name) {
    this.#pose = known(POSES, name, "pose");
  }

  get mouth() {
    return this.#weights;
  }

  /** `{ shape, open }` or weights by shape; what is missing to 1 is the mood's resting mouth. */
  set mouth(mouth) {
    this.#weights = mouthWeights(mouth);
  }

  /** Take over what `other` was told. */
  follow(other) {
    for (const key of ["mood", "moodStrength", "mouth", "pose", "look"]) this[key] = other[key];
  }

  /** Advance to `nowMs` and show it; who only acts has nothing to show. */
  update(nowMs) {
    this.advance(nowMs);
  }

  /** Move everything on to `nowMs` without painting. */
  advance(nowMs) {
    const goal = Math.floor(nowMs / 1000 / STEP_S);
    if (this.#steps === null || goal < this.#steps) this.#steps = goal - 1;
    this.#steps = Math.max(this.#steps, goal - Math.round(LONGEST_S / STEP_S));
    while (this.#steps < goal) {
      this.#steps++;
      this.step(this.#steps * STEP_S);
    }
  }

  /** One step of STEP_S, to `seconds`. */
  step(seconds) {
    const { face, poseNow, lookNow, eyesNow } = this;
    approach(face, moodNumbers(this.#mood, this.moodStrength), EASE.mood);
    approach(this.moodsNow, { [this.#mood]: this.moodStrength }, EASE.mood);
    approach(this.mouthNow, this.#weights, EASE.mouth);
    approach(poseNow, POSES[this.#pose], EASE.pose);
    approach(lookNow, this.look, EASE.look);
    const lively = this.still ? 0 : poseNow.lively;
    const motion = idleMotion(seconds, this.seed, lively, this.still ? 0 : poseNow.nod);
    const [glanceX, glanceY] = this.still ? [0, 0] : glance(seconds, this.seed);
    this.closing = this.still ? 0 : blink(seconds, this.seed);
    this.peek += ((this.still ? 0 : peeking(seconds, this.seed)) - this.peek) * EASE.eyes;
    this.lively = lively;
    approach(
      eyesNow,
      {
        x: clamp(this.look.x + face.gazeX + poseNow.gazeX + glanceX * poseNow.glances),
        y: clamp(this.look.y + face.gazeY + poseNow.gazeY + glanceY * poseNow.glances),
      },
      EASE.eyes,
    );
    const hop = this.still ? 0.5 : Math.abs(Math.sin(seconds * Math.PI * 1.7));
    this.stance = {
      yaw: 0.31 * lookNow.x + face.yaw + poseNow.yaw + motion.yaw,
      pitch: 0.24 * lookNow.y + face.pitch + poseNow.pitch + motion.pitch,
      roll: face.roll + poseNow.roll + motion.roll + 0.05 * lookNow.x * lookNow.y,
      sway: motion.sway + 0.03 * lookNow.x,
      lean: poseNow.lean + motion.lean,
      breath: this.still ? 0.5 : motion.breath,
      shrug: face.shrug,
      hop: face.bounce * hop,
    };
  }
}

const clamp = (value) => Math.max(-1, Math.min(1, value));
