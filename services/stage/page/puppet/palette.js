// Colours of the puppet: a few the theme may set, and the shades derived from them.

export const THEME = {
  hair: "#cf3340",
  ribbon: "#ee2f45",
  trim: "#fff1dc",
  skin: "#ffe7da",
  eyes: "#1fa88e",
  cloth: "#3b3658",
  collar: "#f7ead6",
  accent: "#d92b41",
  gold: "#f6b94a",
  shirt: "#fffaf2",
};

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** `#rrggbb` between `a` (share 0) and `b` (share 1). */
export function mix(a, b, share) {
  const [from, to] = [channels(a), channels(b)];
  return "#" + from.map((v, i) => Math.round(v + (to[i] - v) * share).toString(16).padStart(2, "0")).join("");
}

/** `#rrggbb` with an alpha from 0 to 1, as a CSS colour. */
export const fade = (hex, alpha) => `rgba(${channels(hex).join(",")},${alpha})`;

// derived colour: [base, mixed with, share]; later rows may use earlier ones
const DERIVED = {
  line: ["hair", "#1d0618", 0.74],
  hairShade: ["hair", "#5c0c34", 0.46],
  hairDeep: ["hair", "#470a2e", 0.66],
  hairLight: ["hair", "#ff9a76", 0.42],
  hairShine: ["hair", "#ffc2a6", 0.56],
  tip: ["hair", "#ff9a4d", 0.6],
  tipShade: ["hair", "#c2452f", 0.55],
  hairLine: ["hair", "#26061c", 0.68],
  ribbonShade: ["ribbon", "#76093f", 0.5],
  ribbonDeep: ["ribbon", "#5c0636", 0.74],
  ribbonLight: ["ribbon", "#ffb3a6", 0.5],
  ribbonLine: ["ribbon", "#2a0419", 0.76],
  trimShade: ["trim", "#c08a8c", 0.5],
  skinShade: ["skin", "#dc7f79", 0.42],
  skinDeep: ["skin", "#b94f5c", 0.55],
  skinLine: ["skin", "#6d1a26", 0.78],
  nail: ["skin", "#ff8f8f", 0.34],
  blush: ["skin", "#ff4e5a", 0.72],
  eyeDark: ["eyes", "#071827", 0.82],
  eyeMid: ["eyes", "#0a3450", 0.38],
  eyeLight: ["eyes", "#c9fff0", 0.62],
  eyeGlow: ["eyes", "#f6ffc9", 0.88],
  eyeRim: ["eyes", "#8a63c9", 0.75],
  eyeShadow: ["eyes", "#241440", 0.9],
  clothShade: ["cloth", "#120f22", 0.5],
  clothLight: ["cloth", "#7d76a3", 0.32],
  clothLine: ["cloth", "#0b0712", 0.72],
  clothRim: ["cloth", "#c9c2f2", 0.62],
  collarShade: ["collar", "#b88a96", 0.5],
  accentShade: ["accent", "#5c0636", 0.5],
  goldShade: ["gold", "#a3502a", 0.5],
  goldLine: ["gold", "#4a1a12", 0.8],
  leaf: ["eyes", "#bff0a0", 0.3],
  leafShade: ["eyes", "#0a3a3a", 0.35],
  leafLine: ["eyes", "#0a1420", 0.8],
  shirtShade: ["shirt", "#c7a3b4", 0.5],
};

/** The full palette of a theme; throws on a colour that is not `#rrggbb`. */
export function palette(theme = {}) {
  const colours = { ...THEME, ...theme };
  for (const [name, value] of Object.entries(colours)) {
    if (!/^#[0-9a-f]{6}$/i.test(value)) throw new Error(`theme colour ${name}: "${value}" is not of the form #rrggbb`);
  }
  for (const [name, [base, tint, share]] of Object.entries(DERIVED)) {
    if (!(name in theme)) colours[name] = mix(colours[base], tint, share);
  }
  return colours;
}
