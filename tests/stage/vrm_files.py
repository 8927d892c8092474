"""A small VRM of boxes, 0.x or 1.0, as the bytes of its file: bones, a skin, morphs, a texture, hair on a spring, MToon."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# bone -> parent, place in metres; she faces +Z and her left is +X
BONES: dict[str, tuple[str, tuple[float, float, float]]] = {
    "hips": ("", (0, 0.9, 0)),
    "spine": ("hips", (0, 1.0, 0)),
    "chest": ("spine", (0, 1.12, 0)),
    "neck": ("chest", (0, 1.3, 0)),
    "head": ("neck", (0, 1.37, 0)),
    "leftEye": ("head", (0.045, 1.47, 0.08)),
    "rightEye": ("head", (-0.045, 1.47, 0.08)),
    **{
        f"{side}{bone}": (f"{side}{parent}" if parent in ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg") else parent, (sign * x, y, 0))
        for side, sign in (("left", 1), ("right", -1))
        for bone, parent, x, y in (
            ("UpperArm", "chest", 0.13, 1.26), ("LowerArm", "UpperArm", 0.34, 1.26), ("Hand", "LowerArm", 0.55, 1.26),
            ("UpperLeg", "hips", 0.08, 0.86), ("LowerLeg", "UpperLeg", 0.08, 0.46), ("Foot", "LowerLeg", 0.08, 0.08),
        )
    },
    "hair": ("head", (0, 1.5, -0.13)),
    "hairTip": ("hair", (0, 1.2, -0.15)),
}  # fmt: skip
OPTIONAL = ("chest", "neck", "leftEye", "rightEye")
PALETTE = ((250, 215, 190), (180, 30, 50), (50, 55, 100), (255, 255, 255), (25, 12, 25))
"""Pixels of the texture, one a colour: MToon knows no colours of vertices."""
SKIN, HAIR, CLOTH, WHITE, DARK = range(5)
# bone, centre, size, colour
BODY = (
    ("head", (0, 1.47, 0), (0.21, 0.22, 0.19), SKIN), ("head", (0, 1.57, -0.01), (0.25, 0.1, 0.23), HAIR),
    ("head", (0, 1.47, -0.1), (0.25, 0.26, 0.06), HAIR), ("hair", (0, 1.35, -0.14), (0.12, 0.3, 0.05), HAIR),
    ("neck", (0, 1.33, 0), (0.07, 0.1, 0.07), SKIN), ("chest", (0, 1.21, 0), (0.27, 0.18, 0.15), CLOTH),
    ("spine", (0, 1.06, 0), (0.22, 0.14, 0.13), CLOTH), ("hips", (0, 0.92, 0), (0.26, 0.16, 0.14), DARK),
    *(
        (f"{side}{bone}", (sign * x, y, 0), size, colour)
        for side, sign in (("left", 1), ("right", -1))
        for bone, x, y, size, colour in (
            ("UpperArm", 0.235, 1.26, (0.2, 0.07, 0.07), CLOTH), ("LowerArm", 0.445, 1.26, (0.2, 0.06, 0.06), SKIN),
            ("Hand", 0.6, 1.26, (0.1, 0.03, 0.07), SKIN), ("UpperLeg", 0.08, 0.66, (0.11, 0.38, 0.11), DARK),
            ("LowerLeg", 0.08, 0.27, (0.09, 0.36, 0.09), DARK),
        )
    ),
)  # fmt: skip
FACE = (
    ("mouth", (0, 1.405, 0.096), (0.06, 0.008, 0.006), DARK),
    ("eye", (0.045, 1.47, 0.096), (0.05, 0.05, 0.006), WHITE),
    ("eye", (-0.045, 1.47, 0.096), (0.05, 0.05, 0.006), WHITE),
    ("brow", (0.045, 1.51, 0.096), (0.05, 0.006, 0.006), HAIR),
    ("brow", (-0.045, 1.51, 0.096), (0.05, 0.006, 0.006), HAIR),
)
# expression -> part of the face -> factors of its width and height
MORPHS: dict[str, dict[str, tuple[float, float]]] = {
    "aa": {"mouth": (1, 6)}, "ih": {"mouth": (1.4, 2)}, "ou": {"mouth": (0.4, 3)}, "ee": {"mouth": (1.2, 4)},
    "oh": {"mouth": (0.7, 6)}, "blink": {"eye": (1, 0.05)}, "happy": {"mouth": (1.5, 2)}, "angry": {"brow": (1, 3)},
    "sad": {"mouth": (0.6, 1)}, "relaxed": {"eye": (1, 0.7)}, "surprised": {"eye": (1.2, 1.4)},
}  # fmt: skip
OLD_NAMES = {
    "aa": "a",
    "ih": "i",
    "ou": "u",
    "ee": "e",
    "oh": "o",
    "happy": "joy",
    "sad": "sorrow",
    "relaxed": "fun",
}
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float32)
QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
FLOAT, UNSIGNED_SHORT, NEAREST = 5126, 5123, 9728


class _Buffer:
    """The binary chunk, and the views and accessors into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, raw: bytes) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw)})
        self.data += raw + b"\0" * (-len(raw) % 4)
        return len(self.views) - 1

    def add(self, values: NDArray[Any], kind: str) -> int:
        component = FLOAT if values.dtype == np.float32 else UNSIGNED_SHORT
        made: dict[str, Any] = {
            "bufferView": self.view(values.tobytes()), "componentType": component, "count": len(values), "type": kind,
        }  # fmt: skip
        if kind == "VEC3":
            made |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(made)
        return len(self.accessors) - 1


def vrm_bytes(version: str) -> bytes:
    """A model that shows all that the page asks of one; `version` "1.0" has all bones, "0.0" only those that must be."""
    is_old = version == "0.0"
    turned = np.array([-1, 1, -1] if is_old else [1, 1, 1], np.float32)  # 0.x models face -Z
    names = [name for name in BONES if not (is_old and name in OPTIONAL)]
    buffer = _Buffer()

    def place(bone: str) -> Floats:
        return np.array(BONES[bone][1], np.float32) * turned

    def kept(bone: str) -> str:
        while bone and bone not in names:
            bone = BONES[bone][0]
        return bone

    nodes: list[dict[str, Any]] = []
    for name in names:
        parent = kept(BONES[name][0])
        offset = place(name) - (place(parent) if parent else 0)
        children = [names.index(each) for each in names if kept(BONES[each][0]) == name]
        nodes.append(
            {"name": name, "translation": offset.tolist(), **({"children": children} if children else {})}
        )
    face_node, body_node = len(nodes), len(nodes) + 1
    nodes[names.index("head")]["children"].append(face_node)
    nodes += [{"name": "face", "mesh": 0}, {"name": "body", "mesh": 1, "skin": 0}]

    binds = np.tile(np.eye(4, dtype=np.float32), (len(names), 1, 1))
    binds[:, 3, :3] = [-place(name) for name in names]  # columns first
    joints = np.repeat([[names.index(kept(bone)), 0, 0, 0] for bone, *_ in BODY], 24, 0).astype(np.uint16)
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (len(joints), 1))
    skin = {"JOINTS_0": buffer.add(joints, "VEC4"), "WEIGHTS_0": buffer.add(weights, "VEC4")}
    body = _primitive(buffer, BODY, turned, np.zeros(3, np.float32)) | {"material": 0}
    body["attributes"] |= skin
    face = _primitive(buffer, FACE, turned, place("head")) | {"material": 0}
    face["targets"] = [{"POSITION": buffer.add(_morph(parts, turned), "VEC3")} for parts in MORPHS.values()]
    document: dict[str, Any] = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0, body_node]}], "nodes": nodes,
        "meshes": [{"primitives": [face]}, {"primitives": [body]}],
        "skins": [{"joints": list(range(len(names))), "inverseBindMatrices": buffer.add(binds.reshape(-1, 16), "MAT4")}],
        "images": [{"bufferView": buffer.view(_palette_png()), "mimeType": "image/png"}],
        "samplers": [{"magFilter": NEAREST, "minFilter": NEAREST}], "textures": [{"source": 0, "sampler": 0}],
        "materials": [{"name": "paint", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    }  # fmt: skip
    human = [name for name in names if not name.startswith("hair")]
    tail = [names.index("hair"), names.index("hairTip")]
    (_old if is_old else _new)(document, {name: names.index(name) for name in human}, tail, face_node)
    document |= {
        "bufferViews": buffer.views,
        "accessors": buffer.accessors,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return glb_bytes(document, bytes(buffer.data))


def glb_bytes(document: Any, data: bytes = b"") -> bytes:
    """A binary glTF of a description and its buffer."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _boxes(parts: Any) -> Floats:
    return np.concatenate(
        [CORNERS[list(quad)] * np.float32(size) + np.float32(centre) for _, centre, size, _ in parts for quad in QUADS]
    )  # fmt: skip


def _primitive(buffer: _Buffer, parts: Any, turned: Floats, origin: Floats) -> dict[str, Any]:
    points = _boxes(parts) * turned - origin
    corners = [CORNERS[list(quad)] for quad in QUADS]
    normals = (
        np.tile(np.concatenate([np.repeat([quad.mean(0) * 2], 4, 0) for quad in corners]), (len(parts), 1))
        * turned
    )
    texels = np.repeat([[(colour + 0.5) / len(PALETTE), 0.5] for *_, colour in parts], 24, 0)
    first = np.arange(0, len(points), 4)[:, None]
    triangles = np.add(first, [0, 1, 2, 0, 2, 3]).reshape(-1).astype(np.uint16)
    return {
        "attributes": {
            "POSITION": buffer.add(points.astype(np.float32), "VEC3"),
            "NORMAL": buffer.add(normals.astype(np.float32), "VEC3"),
            "TEXCOORD_0": buffer.add(texels.astype(np.float32), "VEC2"),
        },
        "indices": buffer.add(triangles, "SCALAR"),
    }


def _morph(changes: dict[str, tuple[float, float]], turned: Floats) -> Floats:
    changed = [
        (
            part,
            centre,
            (size[0] * changes.get(part, (1, 1))[0], size[1] * changes.get(part, (1, 1))[1], size[2]),
            colour,
        )
        for part, centre, size, colour in FACE
    ]
    return ((_boxes(changed) - _boxes(FACE)) * turned).astype(np.float32)


def _palette_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", len(PALETTE), 1, 8, 2, 0, 0, 0)
    row = zlib.compress(b"\0" + bytes(value for colour in PALETTE for value in colour))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def _new(document: dict[str, Any], human: dict[str, int], tail: list[int], face: int) -> None:
    """VRM 1.0."""
    look = {"inputMaxValue": 90, "outputScale": 20}
    sides = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
    document["extensionsUsed"] = ["VRMC_vrm", "VRMC_springBone", "VRMC_materials_mtoon"]
    document["extensions"] = {
        "VRMC_vrm": {
            "specVersion": "1.0",
            "meta": {"name": "Boxes", "authors": ["Akane"], "licenseUrl": "https://vrm.dev/licenses/1.0/"},
            "humanoid": {"humanBones": {bone: {"node": node} for bone, node in human.items()}},
            "expressions": {
                "preset": {
                    name: {"morphTargetBinds": [{"node": face, "index": index, "weight": 1}]}
                    for index, name in enumerate(MORPHS)
                }
            },
            "lookAt": {"type": "bone", "offsetFromHeadBone": [0, 0.1, 0.1], **{f"rangeMap{side}": look for side in sides}},
        },
        "VRMC_springBone": {
            "specVersion": "1.0",
            "springs": [{"joints": [{"node": node, "stiffness": 0.5, "dragForce": 0.3, "gravityPower": 0.2} for node in tail]}],
        },
    }  # fmt: skip
    document["materials"][0]["extensions"] = {
        "VRMC_materials_mtoon": {
            "specVersion": "1.0",
            "shadeColorFactor": [0.8, 0.7, 0.75],
            "shadeMultiplyTexture": {"index": 0},
            "shadingToonyFactor": 0.9,
        }
    }


def _old(document: dict[str, Any], human: dict[str, int], tail: list[int], _: int) -> None:
    """VRM 0.x; "Surprised" is not one of its presets, so models bring it under a name of their own."""
    look = {"curve": [0, 0, 0, 1, 1, 1, 1, 0], "xRange": 90, "yRange": 10}
    sides = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
    document["extensionsUsed"] = ["VRM"]
    document["extensions"] = {
        "VRM": {
            "specVersion": "0.0",
            "meta": {"title": "Boxes", "author": "Akane"},
            "humanoid": {"humanBones": [{"bone": bone, "node": node} for bone, node in human.items()]},
            "firstPerson": {
                "firstPersonBone": human["head"], "firstPersonBoneOffset": {"x": 0, "y": 0.1, "z": 0.1}, "lookAtTypeName": "Bone",
                **{f"lookAt{side}": look for side in sides},
            },
            "blendShapeMaster": {
                "blendShapeGroups": [
                    {
                        "name": "Surprised" if name == "surprised" else name.upper(),
                        "presetName": "unknown" if name == "surprised" else OLD_NAMES.get(name, name),
                        "binds": [{"mesh": 0, "index": index, "weight": 100}],
                    }
                    for index, name in enumerate(MORPHS)
                ]
            },
            "secondaryAnimation": {
                "boneGroups": [{"bones": tail[:1], "stiffiness": 0.5, "dragForce": 0.3, "gravityPower": 0.2, "colliderGroups": []}],
                "colliderGroups": [],
            },
            "materialProperties": [
                {
                    "name": "paint", "shader": "VRM/MToon", "renderQueue": 2000, "floatProperties": {"_ShadeToony": 0.9},
                    "vectorProperties": {"_ShadeColor": [0.8, 0.7, 0.75, 1]}, "textureProperties": {"_MainTex": 0, "_ShadeTexture": 0},
                    "keywordMap": {}, "tagMap": {},
                }
            ],
        }
    }  # fmt: skip
