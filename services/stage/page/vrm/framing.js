// A camera that shows head and chest, whatever the model's size and the page's shape.

import { Box3, PerspectiveCamera, Vector3 } from "../vendor/three-vrm.bundle.js";

const LENS_DEG = 18; // a long lens: a near one makes noses large
const ABOVE = 0.14; // room over the head, in heights of the head
const BELOW = 1.35; // from the head's joint down, in heights of the head
const WIDEST = 2.2; // width that must be seen, in heights of the head
const HEAD = [0.34, 0.75]; // least and most height of a head in lengths of the trunk: a hat or wings do not count

/** What to show, in metres: the place of the head's joint, and the part around it. */
export function bust(vrm) {
  const place = (name) => vrm.humanoid.getNormalizedBoneNode(name).getWorldPosition(new Vector3());
  vrm.scene.updateMatrixWorld(true);
  const head = place("head");
  const trunk = Math.max(0.01, head.y - place("hips").y);
  const top = new Box3().setFromObject(vrm.scene).max.y;
  const height = Math.min(HEAD[1] * trunk, Math.max(HEAD[0] * trunk, top - head.y));
  return { head, height: height * (1 + ABOVE + BELOW), width: height * WIDEST, bottom: head.y - height * BELOW };
}

/** Returns `fit(width, height)`, to be called with the canvas's size in pixels, and the camera that it moves. */
export function cameraFor({ head, height, width, bottom }) {
  const camera = new PerspectiveCamera(LENS_DEG, 1, 0.05, 50);
  const fit = (across, up) => {
    camera.aspect = across / up;
    const shown = Math.max(height, width / camera.aspect);
    const distance = shown / 2 / Math.tan((LENS_DEG * Math.PI) / 360);
    camera.far = distance * 4;
    camera.position.set(head.x, bottom + shown / 2, head.z + distance);
    camera.updateProjectionMatrix();
  };
  return { camera, fit };
}
