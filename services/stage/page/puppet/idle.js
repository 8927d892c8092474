// What she does when nobody asks: slow layered noise, breath, blinks, small glances. Pure functions of time and seed.

/** A number from 0 to 1 for an integer and a seed (a hash, so that any moment can be asked for). */
export function chance(n, seed) {
  let h = (Math.imul(n | 0, 0x9e3779b1) ^ Math.imul(seed | 0, 0x85ebca6b)) >>> 0;
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) >>> 0;
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39) >>> 0;
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

/** Smooth noise from -1 to 1 with about `hertz` turns a second. */
export function noise(seconds, hertz, seed) {
  const at = seconds * hertz;
  const n = Math.floor(at);
  const t = at - n;
  const s = t * t * t * (t * (6 * t - 15) + 10);
  return 2 * (chance(n, seed) * (1 - s) + chance(n + 1, seed) * s) - 1;
}

const layered = (seconds, hertz, seed) => 0.7 * noise(seconds, hertz, seed) + 0.3 * noise(seconds, hertz * 2.7, seed + 1);

const BLINK_EVERY_S = 3.6; // one blink falls somewhere into each such slot
const BLINK_S = 0.24;

/** How far a blink that began `since` seconds ago has closed the eye: down fast, up slower, 0 to 1. */
function lid(since) {
  if (since < 0 || since > BLINK_S) return 0;
  const t = since / BLINK_S;
  return t < 0.38 ? Math.sin((t / 0.38) * (Math.PI / 2)) ** 2 : Math.cos(((t - 0.38) / 0.62) * (Math.PI / 2)) ** 2;
}

/** Closing of the eyes by blinking, 0 open to 1 shut; every fourth blink or so is a double one. */
export function blink(seconds, seed) {
  const slot = Math.floor(seconds / BLINK_EVERY_S);
  const start = (slot + 0.08 + 0.72 * chance(slot, seed + 11)) * BLINK_EVERY_S;
  const double = chance(slot, seed + 12) < 0.27;
  return Math.max(lid(seconds - start), double ? lid(seconds - start - BLINK_S - 0.06) : 0);
}

/** 1 while eyes that are shut for joy are open for a look, else 0; about half of the time. */
export const peeking = (seconds, seed) => (chance(Math.floor(seconds / 2.3), seed + 31) < 0.5 ? 1 : 0);

/** A glance: gaze offset that jumps now and then, as [x, y]. */
export function glance(seconds, seed) {
  const slot = Math.floor(seconds / 1.9);
  const bold = chance(slot, seed + 21) < 0.22 ? 0.34 : 0.06;
  return [bold * (2 * chance(slot, seed + 22) - 1), bold * 0.6 * (2 * chance(slot, seed + 23) - 1)];
}

/*
 * What a pose adds: head angles in radians, gaze, lean towards the viewer in units, how lively the idle motion is,
 * and nods (radians) in time with speech.
 */
export const POSES = {
  idle: { yaw: 0, pitch: 0, roll: 0, gazeX: 0, gazeY: 0, lean: 0, lively: 1, nod: 0, glances: 1, chin: 0, browLift: 0, rest: 1 },
  listening: { yaw: 0, pitch: -0.035, roll: 0.085, gazeX: 0, gazeY: 0.06, lean: 62, lively: 0.55, nod: 0.012, glances: 0.1, chin: 0, browLift: 9, rest: 1 },
  thinking: { yaw: 0.12, pitch: 0.1, roll: 0.06, gazeX: 0.5, gazeY: 0.75, lean: -10, lively: 0.7, nod: 0, glances: 0.5, chin: 1, browLift: 4, rest: 1 },
  speaking: { yaw: 0, pitch: 0, roll: 0, gazeX: 0, gazeY: 0, lean: 16, lively: 1.35, nod: 0.03, glances: 0.5, chin: 0, browLift: 2, rest: 0.15 },
};

/** Motion of this moment: offsets to the head, the body and the breath. */
export function idleMotion(seconds, seed, lively, nod) {
  const breath = 0.5 - 0.5 * Math.cos((seconds * 2 * Math.PI) / 3.9);
  return {
    yaw: 0.075 * lively * layered(seconds, 0.23, seed + 1),
    pitch: 0.045 * lively * layered(seconds, 0.27, seed + 3) + nod * noise(seconds, 1.9, seed + 4),
    roll: 0.04 * lively * layered(seconds, 0.19, seed + 5),
    sway: 0.014 * lively * layered(seconds, 0.16, seed + 7),
    lean: 7 * lively * layered(seconds, 0.14, seed + 9),
    breath: breath + 0.12 * noise(seconds, 0.4, seed + 10),
  };
}
