// The rig: where a point of the drawing lies once head and body have turned. A point keeps a depth, and turning
// shifts it by that depth (parallax), so far features close up and near ones open.

import { take } from "./curve.js";

const HEAD = { x: 0, y: 430 }; // the point the head turns about
const NECK = { x: 0, y: 690 }; // the point it rolls about
const FIT = { width: 0.93, rise: 34 }; // the body is drawn larger and lower than it sits under the head
const WAIST = { x: 0, y: 1350 }; // the point the body sways about

/** Depth of the face's curved surface at a point of the drawing, in units towards the viewer. */
export function faceDepth(x, y) {
  const [u, v] = [(x - HEAD.x) / 235, (y - HEAD.y) / 300];
  return 175 * Math.max(-0.2, 1 - 0.75 * u * u - 0.42 * v * v);
}

export class Rig {
  constructor() {
    this.set({ yaw: 0, pitch: 0, roll: 0, sway: 0, lean: 0, breath: 0, shrug: 0, hop: 0 });
  }

  /** Angles in radians (yaw to the viewer's right, pitch up), the rest in units of the drawing. */
  set(pose) {
    this.pose = pose;
    [this.cosYaw, this.sinYaw] = [Math.cos(pose.yaw), Math.sin(pose.yaw)];
    [this.cosPitch, this.sinPitch] = [Math.cos(pose.pitch), Math.sin(pose.pitch)];
    [this.cosRoll, this.sinRoll] = [Math.cos(pose.roll), Math.sin(pose.roll)];
    this.bodyTurn = pose.sway;
    this.zoom = 1 + 0.0007 * pose.lean;
  }

  /** Move head points to their place; `depth` is one number or one per point. Writes to `out` and returns it. */
  head(points, depth, out = take(points.length)) {
    const { cosYaw, sinYaw, cosPitch, sinPitch, cosRoll, sinRoll, pose } = this;
    const each = typeof depth !== "number"; // one depth per point
    const neckShift = this.bodyTurn * (WAIST.y - NECK.y) - pose.yaw * 14;
    const drop = -pose.hop - pose.breath * 5 + pose.lean * 0.35;
    for (let i = 0; i < points.length; i += 2) {
      const z = each ? depth[i / 2] : depth;
      const x = points[i] - HEAD.x;
      const y = points[i + 1] - HEAD.y;
      const turnedX = x * cosYaw + z * sinYaw;
      const turnedZ = z * cosYaw - x * sinYaw;
      const turnedY = y * cosPitch - turnedZ * sinPitch;
      const scale = this.zoom * (1 + (turnedZ - 60) * 0.00012 * Math.abs(sinYaw));
      const px = HEAD.x + turnedX * scale - NECK.x;
      const py = HEAD.y + turnedY * scale - NECK.y;
      out[i] = NECK.x + px * cosRoll - py * sinRoll + neckShift;
      out[i + 1] = NECK.y + px * sinRoll + py * cosRoll + drop;
    }
    return out;
  }

  /** Move points that lie on the face's surface, or `extra` units before it. */
  face(points, extra = 0) {
    const depths = take(points.length / 2);
    for (let i = 0; i < depths.length; i++) depths[i] = faceDepth(points[2 * i], points[2 * i + 1]) + extra;
    return this.head(points, depths);
  }

  /** Move body points: sway about the waist, a little parallax by `depth`, shoulders that breathe and shrug. */
  body(points, depth, out = take(points.length)) {
    const { pose, zoom, bodyTurn } = this;
    const turn = pose.yaw * 0.22;
    for (let i = 0; i < points.length; i += 2) {
      const x = points[i] * FIT.width;
      const y = points[i + 1] - FIT.rise;
      const shoulder = Math.min(1, Math.abs(x) / 260) * Math.max(0, Math.min(1, (1150 - y) / 350));
      const chest = Math.max(0, 1 - Math.abs(y - 940) / 300);
      const lift = pose.breath * (3 + 5 * shoulder + 3 * chest) + pose.shrug * (4 + 26 * shoulder);
      out[i] = x * (1 + 0.006 * pose.breath * chest) * zoom + bodyTurn * (WAIST.y - y) + depth * turn;
      out[i + 1] = WAIST.y + (y - WAIST.y) * (0.5 + 0.5 * zoom) - lift - pose.hop * 0.6;
    }
    return out;
  }

  /** Depth-aware place of one head point, as [x, y]. */
  headPoint(x, y, depth) {
    return this.head([x, y], depth, [0, 0]);
  }
}
