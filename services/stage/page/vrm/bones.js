// From her stance (the numbers that Rig.set takes) to the angles of a VRM's humanoid bones, which begin in a T.

/*
 * Bone -> how much of each number of the stance it takes. Head angles (yaw to the viewer's right, pitch up, roll
 * clockwise) are shared out along the spine; sway and lean come from the waist, and the head stays level.
 */
const SPINE = {
  spine: { yaw: 0.06, roll: 0.05, sway: 0.6, lean: 0.0009 },
  chest: { yaw: 0.1, roll: 0.08, sway: 0.4, lean: 0.0004, breath: -0.022 },
  neck: { yaw: 0.34, pitch: 0.4, roll: 0.37, lean: -0.0005, breath: 0.008 },
  head: { yaw: 0.5, pitch: 0.6, roll: 0.5, lean: -0.0006, breath: 0.012 },
};
const HEIRS = { chest: "spine", neck: "head" }; // bones that a model may lack

/*
 * Left arm: radians about x (twist), y (forward is negative) and z (down is negative) at rest, and what breath and shrug
 * add to z. The right arm is its mirror image.
 */
const ARM = {
  Shoulder: { rest: [0, 0, -0.05], breath: 0.025, shrug: 0.16 },
  UpperArm: { rest: [0.05, -0.08, -1.2], breath: -0.035, shrug: -0.12, sway: 1 },
  LowerArm: { rest: [0, -0.3, -0.06], breath: 0, shrug: 0 },
  Hand: { rest: [0, 0, -0.08], breath: 0, shrug: 0 },
};
const FINGERS = { Index: -0.25, Middle: -0.32, Ring: -0.38, Little: -0.44 };
const KNUCKLES = ["Proximal", "Intermediate", "Distal"];
const HOP = 0.0009; // share of the hips' height for a unit of hopping

export class Bones {
  constructor(vrm) {
    this.node = (name) => vrm.humanoid.getNormalizedBoneNode(name);
    this.facing = vrm.meta.metaVersion === "0" ? -1 : 1; // 0.x models are built with their back to +Z
    this.hips = this.node("hips");
    this.hipsHeight = this.hips.position.y;
    this.spine = {};
    for (const [bone, shares] of Object.entries(SPINE)) {
      const sum = (this.spine[this.node(bone) ? bone : HEIRS[bone]] ??= {});
      for (const [name, share] of Object.entries(shares)) sum[name] = (sum[name] ?? 0) + share;
    }
    for (const [side, sign] of [["left", 1], ["right", -1]]) {
      for (const [finger, curl] of Object.entries(FINGERS)) {
        for (const knuckle of KNUCKLES) this.turn(`${side}${finger}${knuckle}`, 0, 0, sign * curl);
      }
    }
  }

  /** Turn a bone that the model may not have; angles are those of a figure that faces +Z. */
  turn(name, x, y, z) {
    this.node(name)?.rotation.set(this.facing * x, y, this.facing * z);
  }

  /** Stand as `stance` says. */
  stand(stance) {
    for (const [bone, share] of Object.entries(this.spine)) {
      const of = (name) => (share[name] ?? 0) * stance[name];
      this.turn(bone, of("lean") + of("breath") - of("pitch"), of("yaw"), -of("roll") - of("sway"));
    }
    for (const [side, sign] of [["left", 1], ["right", -1]]) {
      for (const [part, { rest, breath, shrug, sway = 0 }] of Object.entries(ARM)) {
        const [x, y, z] = rest;
        const lift = breath * stance.breath + shrug * stance.shrug;
        this.turn(`${side}${part}`, x, sign * y, sign * (z + lift) + sway * stance.sway); // arms hang while the body sways
      }
    }
    this.hips.position.y = this.hipsHeight * (1 + HOP * stance.hop);
  }
}
