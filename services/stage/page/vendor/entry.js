// What the page uses of three.js and three-vrm; README.md says how the bundle is made of it.

export { AmbientLight, Box3, DirectionalLight, Object3D, PerspectiveCamera, Scene, Vector3, WebGLRenderer } from "three";
export { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
export { VRMLoaderPlugin, VRMUtils } from "@pixiv/three-vrm";
