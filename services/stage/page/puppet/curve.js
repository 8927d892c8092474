// Curves as dense point lists (x0, y0, x1, y1, …), and ink: lines drawn as filled shapes whose weight varies.

const pool = new Float32Array(1 << 17);
let used = 0;

/** Room for `n` numbers that lasts for the frame: taken in turn from a pool, so that frames leave no garbage. */
export function take(n) {
  if (used + n > pool.length) used = 0;
  used += n;
  return pool.subarray(used - n, used);
}

/** A `curve` to keep. */
export const spline = (anchors, closed, step) => curve(anchors, closed, step).slice();

/**
 * For this frame: a smooth curve through `anchors` ([x, y] or [x, y, 1] for a sharp corner), a point about every `step` units.
 * Hermite segments with chord-length tangents, so uneven anchors do not overshoot.
 */
export function curve(anchors, closed = false, step = 13) {
  const n = anchors.length;
  const segments = closed ? n : n - 1;
  let total = closed ? 0 : 1;
  const chords = new Float64Array(segments);
  for (let i = 0; i < segments; i++) {
    const [from, to] = [anchors[i], anchors[(i + 1) % n]];
    chords[i] = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1e-6;
    total += piecesOf(chords[i], step);
  }
  const points = take(total * 2);
  for (let axis = 0; axis < 2; axis++) {
    const slope = (i) => (anchors[(i + 1) % n][axis] - anchors[i][axis]) / chords[i];
    // the slope at anchor i: that of `own` segment at corners and ends, else both neighbours weighed by closeness
    const tangent = (i, own) => {
      if (anchors[i][2] || (!closed && (i === 0 || i === n - 1))) return slope(own);
      const before = (i + segments - 1) % segments;
      return (slope(before) * chords[i] + slope(i) * chords[before]) / (chords[before] + chords[i]);
    };
    let at = axis;
    for (let i = 0; i < segments; i++) {
      const next = (i + 1) % n;
      const [from, to] = [anchors[i][axis], anchors[next][axis]];
      const [out, into] = [tangent(i, i) * chords[i], tangent(next, i) * chords[i]];
      const pieces = piecesOf(chords[i], step);
      for (let k = 0; k < pieces; k++, at += 2) {
        const t = k / pieces;
        const rest = 1 - t;
        points[at] = (1 + 2 * t) * rest * rest * from + t * rest * rest * out + t * t * (3 - 2 * t) * to - t * t * rest * into;
      }
    }
    if (!closed) points[at] = anchors[n - 1][axis];
  }
  return points;
}

const piecesOf = (chord, step) => Math.max(3, Math.ceil(chord / step));

/** Anchors of the right half, top to bottom, completed by their mirror image to a closed outline. */
export const mirrored = (half) => [
  ...half,
  ...half.filter(([x]) => x !== 0).reverse().map(([x, y, corner]) => [-x, y, corner]),
];

/** For this frame: points of an ellipse. */
export function ellipse(x, y, rx, ry, pieces = 28) {
  const points = take(pieces * 2);
  for (let i = 0; i < pieces; i++) {
    const angle = (i / pieces) * 2 * Math.PI;
    points[2 * i] = x + rx * Math.cos(angle);
    points[2 * i + 1] = y + ry * Math.sin(angle);
  }
  return points;
}

/** For this frame: the same outline run the other way round (a mirrored one has to be, for `outline` to know its shadow side). */
export function reversed(points) {
  const out = take(points.length);
  for (let i = 0, n = points.length / 2; i < n; i++) {
    out[2 * i] = points[2 * (n - 1 - i)];
    out[2 * i + 1] = points[2 * (n - 1 - i) + 1];
  }
  return out;
}

/** Begin a path along `points`, moved by (dx, dy). */
export function trace(ctx, points, dx = 0, dy = 0) {
  ctx.beginPath();
  follow(ctx, points, dx, dy);
}

/** Add the outline `points` to the path that was begun. */
export function follow(ctx, points, dx = 0, dy = 0) {
  ctx.moveTo(points[0] + dx, points[1] + dy);
  for (let i = 2; i < points.length; i += 2) ctx.lineTo(points[i] + dx, points[i + 1] + dy);
  ctx.closePath();
}

export function fill(ctx, points, colour) {
  ctx.fillStyle = colour;
  trace(ctx, points);
  ctx.fill();
}

/** How the weight of a line runs from its start (0) to its end (1). */
export const WEIGHT = {
  even: () => 1,
  taper: (s) => Math.sqrt(Math.max(0, 4 * s * (1 - s))),
  grow: (s) => 0.15 + 0.85 * Math.sqrt(s) * Math.min(1, (1 - s) * 9),
  fall: (s) => Math.min(1, s * 9) * (0.08 + 0.92 * Math.sqrt(1 - s)),
  hair: (s) => Math.min(1, s * 2.2) * (0.3 + 0.7 * Math.min(1, (1 - s) * 2.5)),
  fringe: (s) => Math.max(0, Math.min(1, (s - 0.22) * 2.4)) * (0.35 + 0.65 * Math.min(1, (1 - s) * 3)),
  round: (s) => Math.max(0, 4 * s * (1 - s)) ** 0.25,
  soft: (s) => 0.3 + 0.7 * Math.sin(Math.PI * s),
  lash: (s) => Math.min(1, 0.12 + s * 2) * Math.min(1, (1 - s) * 3.2),
};

const edge = new Float32Array(4096); // the other side of the line being inked

// The loops below run thousands of times a frame: plain scalars, no arrays.

/** Ink an open line: `width` units at its heaviest, its run given by a function of WEIGHT. */
export function ink(ctx, points, width, weight = WEIGHT.taper) {
  const n = points.length / 2;
  ctx.beginPath();
  for (let i = 0; i < n; i++) {
    const before = Math.max(0, i - 1) * 2;
    const after = Math.min(n - 1, i + 1) * 2;
    const dx = points[after] - points[before];
    const dy = points[after + 1] - points[before + 1];
    const reach = (width * weight(i / (n - 1))) / 2 / (Math.sqrt(dx * dx + dy * dy) || 1);
    const x = points[2 * i];
    const y = points[2 * i + 1];
    ctx.lineTo(x - dy * reach, y + dx * reach);
    edge[2 * i] = x + dy * reach;
    edge[2 * i + 1] = y - dx * reach;
  }
  for (let i = n - 1; i >= 0; i--) ctx.lineTo(edge[2 * i], edge[2 * i + 1]);
  ctx.closePath();
  ctx.fill();
}

/** Ink a closed outline: heavier on the side that faces down and right, away from the light. */
export function outline(ctx, points, width, colour) {
  const n = points.length / 2;
  ctx.fillStyle = colour;
  ctx.beginPath();
  for (let i = 0; i <= n; i++) {
    const k = (i % n) * 2;
    const before = ((i + n - 1) % n) * 2;
    const after = ((i + 1) % n) * 2;
    const dx = points[after] - points[before];
    const dy = points[after + 1] - points[before + 1];
    const length = Math.sqrt(dx * dx + dy * dy) || 1;
    // outline points run clockwise on the screen, so (dy, -dx) points outwards
    const facing = (dy * 0.45 - dx * 0.89) / length;
    const reach = (width * (0.62 + 0.38 * facing)) / 2 / length;
    ctx.lineTo(points[k] - dy * reach, points[k + 1] + dx * reach);
    edge[2 * i] = points[k] + dy * reach;
    edge[2 * i + 1] = points[k + 1] - dx * reach;
  }
  ctx.closePath();
  ctx.moveTo(edge[2 * n], edge[2 * n + 1]);
  for (let i = n - 1; i >= 0; i--) ctx.lineTo(edge[2 * i], edge[2 * i + 1]);
  ctx.closePath();
  ctx.fill();
}
