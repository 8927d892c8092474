// From the bytes of a file to a VRM: 0.x or 1.0, whole in one file. What is wrong with it is told in half a sentence.

import { GLTFLoader, VRMLoaderPlugin, VRMUtils } from "../vendor/three-vrm.bundle.js";

const LARGEST_BYTES = 256 * 2 ** 20;
const PACKINGS = { KHR_draco_mesh_compression: "Draco", EXT_meshopt_compression: "meshopt", KHR_texture_basisu: "KTX2" }; // no model for VRM programs has these
const [MAGIC, JSON_CHUNK] = [0x46546c67, 0x4e4f534a]; // "glTF", "JSON"

/** The glTF's JSON; throws where the file is not a VRM that needs nothing but itself. */
export function description(bytes) {
  if (bytes.byteLength > LARGEST_BYTES) throw new Error(`it has more than ${LARGEST_BYTES / 2 ** 20} MB`);
  const view = new DataView(bytes);
  if (bytes.byteLength < 20 || view.getUint32(0, true) !== MAGIC || view.getUint32(16, true) !== JSON_CHUNK) {
    throw new Error("it is not a VRM model (.vrm)");
  }
  if (view.getUint32(8, true) > bytes.byteLength) throw new Error("it is cut off");
  let found;
  try {
    found = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 20, view.getUint32(12, true))));
  } catch {
    throw new Error("it is damaged");
  }
  if (!found.extensions?.VRMC_vrm && !found.extensions?.VRM) {
    throw new Error("it is a glTF model without a VRM's description of its bones");
  }
  if ([...(found.buffers ?? []), ...(found.images ?? [])].some((part) => "uri" in part)) {
    throw new Error("it keeps parts of itself in other files");
  }
  const packed = Object.keys(PACKINGS).find((name) => [found.extensionsRequired, found.extensionsUsed].some((names) => names?.includes?.(name)));
  if (packed) throw new Error(`it is compressed (${PACKINGS[packed]}): export it without`);
  return found;
}

/** A three-vrm VRM that faces +Z. */
export async function modelOf(bytes) {
  description(bytes);
  const loader = new GLTFLoader();
  loader.register((parser) => new VRMLoaderPlugin(parser));
  const { scene, userData } = await loader.parseAsync(bytes, "").catch((error) => {
    throw error instanceof TypeError || error instanceof RangeError ? new Error("it is damaged") : error;
  });
  const vrm = userData.vrm;
  if (!vrm) throw new Error("its description of the bones is not complete");
  VRMUtils.removeUnnecessaryVertices(scene);
  VRMUtils.combineSkeletons(scene);
  VRMUtils.rotateVRM0(vrm);
  vrm.scene.traverse((part) => {
    part.frustumCulled = false; // bounds do not follow bones
  });
  return vrm;
}
