// What each mood does to the face, as numbers; the puppet eases from row to row.

/** The neutral face, and what every number means. */
export const NEUTRAL = {
  browLift: 0, // units up
  browTilt: 0, // radians: positive lowers the inner ends (anger), negative raises them (worry)
  browBend: 0, // units the middle of the brow is arched
  browSkew: 0, // units the viewer's right brow is lifted and the other lowered
  eyeOpen: 0.97, // height of the opening: 0 closed, 1.2 wide
  peek: 0, // height to which shut eyes open now and then
  eyeSmile: 0, // share by which the lower lid rises; with closed eyes, arcs that smile
  eyeSlant: 0, // units the outer corner is raised
  iris: 1, // size of iris and pupil
  stars: 0, // star-shaped highlights
  wet: 0, // a trembling second highlight
  gazeX: 0, gazeY: 0, // where the eyes rest, -1 to 1, right and up
  lip: 0.35, // corners of the mouth: -1 down, 1 up
  lipWidth: 1, // width of the closed mouth
  lipSkew: 0, // units the mouth is shifted
  wave: 0, // a wavy closed mouth
  restSmile: 0, restO: 0, // how far the mouth stands open in these shapes when nobody speaks
  blush: 0.25, // colour of the cheeks
  blushLines: 0, // drawn lines on the cheeks
  puff: 0, // blown-up cheeks
  yaw: 0, pitch: 0, roll: 0, // the head, radians
  shrug: 0, // raised shoulders
  perk: 0, // ribbon and ahoge: 1 up, -1 drooping
  bounce: 0, // units of hopping
  gloom: 0, // shade over the forehead
  sparkles: 0, anger: 0, tear: 0, bang: 0, dots: 0, notes: 0, // drawn signs, 0 to 1
  chin: 0, fidget: 0, cheer: 0, // hands, 0 to 1
};

/** Mood -> its differences from NEUTRAL. */
export const MOODS = {
  neutral: {},
  happy: {
    browLift: 12, browBend: 8, eyeOpen: 0, eyeSmile: 1, peek: 0.8, lip: 1, lipWidth: 1.1, restSmile: 0.72,
    blush: 0.75, roll: 0.07, perk: 0.45, notes: 1,
  },
  excited: {
    browLift: 26, browBend: 9, eyeOpen: 1.13, eyeSmile: 0.1, iris: 1.1, stars: 1, lip: 1, lipWidth: 1.2, restSmile: 1,
    blush: 0.85, blushLines: 0.5, pitch: 0.05, perk: 1, bounce: 10, shrug: 0.35, sparkles: 1, cheer: 1,
  },
  shy: {
    browLift: 6, browTilt: -0.34, eyeOpen: 0.7, eyeSmile: 0.25, gazeX: -0.8, gazeY: -0.55, lip: 0.1, lipWidth: 0.96, wave: 1.5,
    blush: 1.6, blushLines: 1, yaw: -0.16, pitch: -0.15, roll: -0.1, shrug: 0.9, perk: -0.35, fidget: 1,
  },
  sad: {
    browLift: 8, browTilt: -0.5, browBend: -4, eyeOpen: 0.72, eyeSlant: -12, gazeY: -0.45, wet: 1, lip: -0.9, lipWidth: 0.8,
    blush: 0.2, pitch: -0.15, roll: 0.06, shrug: -0.35, perk: -1, gloom: 0.6, tear: 1,
  },
  surprised: {
    browLift: 36, browBend: 10, eyeOpen: 1.22, iris: 0.66, lip: 0, lipWidth: 0.8, restO: 0.8,
    blush: 0.15, pitch: 0.07, shrug: 0.6, perk: 1, bang: 1,
  },
  annoyed: {
    browLift: -9, browTilt: 0.4, browBend: -3, eyeOpen: 0.56, eyeSlant: 9, gazeX: 0.25, lip: -1, lipWidth: 0.72, lipSkew: 4,
    blush: 0.75, puff: 1, yaw: 0.1, pitch: -0.03, roll: -0.06, perk: 0.1, anger: 1,
  },
  thinking: {
    browLift: 8, browTilt: 0.1, browSkew: 15, eyeOpen: 0.86, gazeX: 0.62, gazeY: 0.8, lip: -0.25, lipWidth: 0.6, lipSkew: 12,
    blush: 0.15, yaw: 0.12, pitch: 0.09, roll: 0.1, dots: 1, chin: 1,
  },
};

/** Numbers of a mood at a strength from 0 (neutral) to 1. */
export function moodNumbers(name, strength = 1) {
  const numbers = {};
  for (const [key, base] of Object.entries(NEUTRAL)) {
    const goal = MOODS[name][key] ?? base;
    numbers[key] = base + (goal - base) * strength;
  }
  return numbers;
}
