// A VRM on the page: an actor whose bones, expressions and eyes follow what it does.

import { Actor } from "../puppet/actor.js";
import { AmbientLight, DirectionalLight, Object3D, Scene, VRMUtils, WebGLRenderer } from "../vendor/three-vrm.bundle.js";
import { Bones } from "./bones.js";
import { expressionWeights, setters } from "./expressions.js";
import { bust, cameraFor } from "./framing.js";
import { modelOf } from "./model.js";

const LONGEST_FRAME_S = 1 / 15; // springs burst when more is stepped at once
const SHARPEST = 2; // device pixels a pixel: more is not seen
const GAZE = { x: 0.42, y: 0.3 }; // reach of the eyes beside the camera, in distances to it

export class VrmFigure extends Actor {
  /** Throws an Error with half a sentence when the bytes cannot be shown. */
  static async made(host, bytes) {
    return new VrmFigure(host, await modelOf(bytes));
  }

  /** Fills `host` with a transparent canvas. */
  constructor(host, vrm) {
    super();
    this.host = host;
    this.vrm = vrm;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "model";
    this.renderer = new WebGLRenderer({ canvas: this.canvas, alpha: true, antialias: true });
    this.bones = new Bones(vrm);
    this.express = setters(vrm.expressionManager);
    this.bust = bust(vrm);
    Object.assign(this, cameraFor(this.bust));
    this.scene = new Scene();
    const sun = new DirectionalLight(0xffffff, 0.85 * Math.PI);
    sun.position.set(0.4, 0.8, 1.6);
    this.target = new Object3D();
    this.scene.add(vrm.scene, sun, new AmbientLight(0xffffff, 0.25 * Math.PI), this.target);
    if (vrm.lookAt) vrm.lookAt.target = this.target;
    host.append(this.canvas);
  }

  /** Advance to `nowMs` and draw. */
  update(nowMs) {
    this.advance(nowMs);
    const passed_s = Math.max(0, Math.min(LONGEST_FRAME_S, (nowMs - (this.drawn_ms ?? nowMs)) / 1000));
    this.fill();
    this.bones.stand(this.stance);
    this.express(expressionWeights(this));
    this.gaze();
    if (this.drawn_ms === undefined) this.settle();
    this.drawn_ms = nowMs;
    this.vrm.update(passed_s);
    this.renderer.render(this.scene, this.camera);
  }

  // Hair and clothes begin at rest in her first pose, not flung out of the T that the file holds.
  settle() {
    this.vrm.humanoid.update();
    this.vrm.scene.updateMatrixWorld(true);
    this.vrm.springBoneManager?.reset();
  }

  // The eyes stay on the camera while the head moves, beside it where the mood or a glance takes them.
  gaze() {
    const { position } = this.camera;
    const distance = position.z - this.bust.head.z;
    const { x, y } = this.eyesNow;
    this.target.position.set(position.x + x * GAZE.x * distance, position.y + y * GAZE.y * distance, position.z);
  }

  fill() {
    const [width, height] = [Math.max(1, this.host.clientWidth), Math.max(1, this.host.clientHeight)];
    const ratio = Math.min(SHARPEST, globalThis.devicePixelRatio || 1);
    const size = `${width}x${height}x${ratio}`;
    if (size === this.size) return;
    this.size = size;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height);
    this.fit(width, height);
  }

  /** Leave the page and the graphics card. */
  close() {
    VRMUtils.deepDispose(this.vrm.scene);
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.canvas.remove();
  }
}
