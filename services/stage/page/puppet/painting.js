// One frame: the parts in their order, back to front, on a canvas that fills its host.

import { paintBody, paintCollar, paintHood, paintScarf } from "./body.js";
import { fill, ink, outline, spline, trace, WEIGHT } from "./curve.js";
import { paintEffects } from "./effects.js";
import { paintBrow, paintEye } from "./eyes.js";
import { paintFace, paintMouth, paintNeck } from "./face.js";
import { BACK, CAP, FLOW } from "./hair_shapes.js";
import { paintHands } from "./hands.js";
import { paintBow, paintTails } from "./ribbon.js";
import { paintTears } from "./tears.js";
import { paintCords, paintHairpin } from "./trinkets.js";

const VIEW = { width: 1120, height: 1116, bottom: 1086 }; // the part of the drawing to show, x from -560 to 560
const ROOM = 1320; // the canvas is this wide at most, so that hair may swing out of the view
const CAP_POINTS = spline(CAP, true);
const CAP_SHADE = spline([[120, 130], [190, 200], [214, 300], [214, 480], [270, 480], [270, 250], [180, 120]], true);
const FLOW_POINTS = FLOW.map((line) => spline(line));
const BACK_POINTS = spline(BACK, true);

/** Fit the canvas to its host (device pixels) and put the drawing at the bottom centre of it. */
function prepare({ canvas, ctx, host }) {
  const fit = Math.min(host.clientWidth / VIEW.width, host.clientHeight / VIEW.height);
  const shown = Math.min(host.clientWidth, Math.round(ROOM * fit));
  const ratio = globalThis.devicePixelRatio || 1;
  const [width, height] = [Math.round(shown * ratio), Math.round(host.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
    canvas.style.cssText = `display:block;width:${shown}px;height:${host.clientHeight}px;margin:0 auto`;
  }
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.clearRect(0, 0, width, height);
  const scale = fit * ratio;
  ctx.setTransform(scale, 0, 0, scale, width / 2, height - VIEW.bottom * scale);
}

function tones(colours) {
  const { hair: base, hairShade: shade, hairShine: light, hairLine: line, tip, tipShade } = colours;
  return {
    back: { base: shade, shade: colours.hairDeep, tip: tipShade, tipShade: shade, light: base, line, weight: 5 },
    tail: { base, shade, tip, tipShade, light, line, weight: 5.5 },
    side: { base, shade, tip, tipShade, light, line, weight: 5 },
    front: { base, shade, light, line, weight: 4.6 },
    ahoge: { base, shade, light, line, weight: 5.5 },
  };
}

/** Paint `puppet` as it stands at a moment. */
export function paint(puppet, seconds) {
  const { ctx, rig, colours, face, strands, eyesNow, poseNow, mouthNow } = puppet;
  prepare(puppet);
  const tone = tones(colours);
  for (const strand of strands) {
    const wind = puppet.lively * 9 * Math.sin(seconds * 1.15 + strand.phase) * (strand.layer === "front" ? 0.25 : 1);
    const bend = strand.layer === "ahoge" ? 0.45 * -face.perk * (face.perk < 0 ? -1.6 : 0.7) : 0;
    strand.place(rig, wind, bend);
  }
  const layer = (name) => strands.filter((strand) => strand.layer === name);
  const paintLayer = (name) => layer(name).forEach((strand) => strand.paint(ctx, tone[strand.tone ?? name]));
  const swing = [puppet.ribbonTail.lagAt(1, 0) * 1.6, puppet.ribbonTail.lagAt(1, 1) * 1.2];

  paintLayer("back");
  const back = rig.head(BACK_POINTS, -60);
  fill(ctx, back, colours.hairShade);
  outline(ctx, back, 5, colours.hairLine);
  paintLayer("tail");
  paintHood(ctx, rig, colours);
  paintBody(ctx, rig, colours);
  paintNeck(ctx, rig, colours);
  paintCollar(ctx, rig, colours);
  paintCords(ctx, rig, colours, puppet.scarf.lagAt(1, 0));
  paintScarf(ctx, rig, colours, puppet.scarf.lagAt(1, 0) * 1.5);
  paintFace(ctx, rig, colours, face, layer("front"));
  const open = (face.eyeOpen + face.peek * puppet.peek) * (1 - puppet.closing);
  for (const side of [-1, 1]) paintEye(ctx, rig, colours, side, face, open, eyesNow);
  paintTears(ctx, rig, face, open, Math.min(1, face.tear), seconds);
  paintMouth(ctx, rig, colours, spokenMouth(mouthNow, face, poseNow.rest), face);
  paintCap(ctx, rig, colours);
  paintLayer("side");
  paintLayer("front");
  for (const side of [-1, 1]) paintBrow(ctx, rig, colours, side, { ...face, browLift: face.browLift + poseNow.browLift - 5 * puppet.closing });
  paintHairpin(ctx, rig, colours);
  paintLayer("ahoge");
  paintTails(ctx, rig, colours, swing);
  paintBow(ctx, rig, colours, face.perk, puppet.ribbonTail.lagAt(0.6, 0) * 0.004);
  const signs = { chin: Math.max(face.chin, poseNow.chin), fidget: face.fidget, cheer: face.cheer, lively: puppet.lively };
  paintHands(ctx, rig, colours, signs, seconds);
  paintEffects(ctx, rig, face, seconds);
}

/** Weights of the mouth: what speech leaves of it keeps the mood's resting shape. */
function spokenMouth(spoken, face, rest) {
  const total = Math.min(1, Object.values(spoken).reduce((sum, w) => sum + w, 0));
  const left = (1 - total) * rest;
  return { ...spoken, smile: spoken.smile + face.restSmile * left, O: spoken.O + face.restO * left };
}

function paintCap(ctx, rig, colours) {
  const cap = rig.face(CAP_POINTS, 10);
  fill(ctx, cap, colours.hair);
  ctx.save();
  trace(ctx, cap);
  ctx.clip();
  fill(ctx, rig.face(CAP_SHADE, 10), colours.hairShade);
  ctx.restore();
  outline(ctx, cap, 6, colours.hairLine);
  ctx.fillStyle = colours.hairLine;
  for (const line of FLOW_POINTS) ink(ctx, rig.face(line, 12), 3.4, WEIGHT.taper);
}
