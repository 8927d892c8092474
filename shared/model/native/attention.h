// Attention over a float16 cache, a chunk of positions at a time. A chunk's keys lie as [16 positions][head_size]
// [16], so that a lane is a position; its values follow as [position][head_size]. Query heads that share a key
// head read it once.
#pragma once
#include "vectors.h"

constexpr int CHUNK = 128;    // positions whose softmax is computed together; chunks are merged in order
constexpr int MAX_GROUP = 8;  // query vectors that pass over a chunk together

// Compiled by themselves: joined into one function, the compiler runs out of registers and halves the speed.
#define APART __attribute__((noinline))

struct Chunk {  // of one layer, one row, one key head
  const uint16_t *keys, *values;
  int head_size, padded;  // padded: head_size up to the next 16, the stride of values
  const uint16_t* next;   // keys of the chunk that is likely read next: fetched while this one is computed
};

// A running softmax: maximum, sum of exponentials, and the weighted values (not yet divided).
struct Partial {
  float most = -INFINITY, sum = 0;
};

// Scores of 16 * B positions from block `block` on.
template <int N, int B>
APART static void scores(const Chunk& c, const float* q, int ldq, int block, float* out) {
  const int stride = c.head_size * LANES;
  const uint16_t *keys = c.keys + size_t(block) * stride, *next = c.next + size_t(block) * stride;
  for (int part = 0; part < PARTS; part++) {
    vf acc[N][B] = {};
    for (int d = 0; d < c.head_size; d++) {
      if (N <= 4 && part == 0) __builtin_prefetch(next + d * B * LANES, 0, 2);
      vf k[B];
      for (int b = 0; b < B; b++) k[b] = load_half(keys + b * stride + d * LANES + part * W);
      for (int i = 0; i < N; i++)
        for (int b = 0; b < B; b++) acc[i][b] = fma(k[b], splat(q[i * ldq + d]), acc[i][b]);
    }
    for (int i = 0; i < N; i++)
      for (int b = 0; b < B; b++) store(out + i * CHUNK + b * LANES + part * W, acc[i][b]);
  }
}

template <int N>
APART static void weigh(const Chunk& c, const float* p, int count, float* out, int ldo) {
  constexpr int U = N <= 4 ? 2 : 1;  // more independent sums when there are few queries
  for (int d = 0; d < c.padded; d += W * U) {
    vf acc[N][U] = {};
    const bool both = U == 1 || d + W < c.padded;
    const uint16_t *v = c.values + d, *next = c.next + CHUNK * c.head_size + d;
    for (int pos = 0; pos < count; pos++, v += c.padded, next += c.padded) {
      if (N <= 4) __builtin_prefetch(next, 0, 2);
      const vf v0 = load_half(v), v1 = U == 2 && both ? load_half(v + W) : vf{};
      for (int i = 0; i < N; i++) {
        const vf weight = splat(p[i * CHUNK + pos]);
        acc[i][0] = fma(v0, weight, acc[i][0]);
        if constexpr (U == 2) acc[i][1] = fma(v1, weight, acc[i][1]);
      }
    }
    for (int i = 0; i < N; i++) {
      store(out + i * ldo + d, acc[i][0]);
      if constexpr (U == 2)
        if (both) store(out + i * ldo + d + W, acc[i][1]);
    }
  }
}

// One chunk for N queries that see limits[i] positions each; out[i][padded] and partials[i] are overwritten.
template <int N>
static void attend_chunk(const Chunk& c, const float* q, int ldq, const int* limits, int chunk, float* out, int ldo, Partial* partials) {
  alignas(64) float p[N * CHUNK];
  const int first = chunk * CHUNK;
  int longest = 0;
  for (int i = 0; i < N; i++) longest = limits[i] > longest ? limits[i] : longest;
  const int count = longest - first < CHUNK ? longest - first : CHUNK;
  constexpr int B = N <= 4 ? 2 : 1;  // a chunk has an even number of blocks: one too many may be computed, never used
  for (int block = 0; block * LANES < count; block += B) scores<N, B>(c, q, ldq, block, p + block * LANES);
  vi lane{};
  for (int i = 0; i < W; i++) lane[i] = i;
  for (int i = 0; i < N; i++) {
    float* row = p + i * CHUNK;
    const int seen = limits[i] - first < count ? limits[i] - first : count;
    if (seen <= 0) {
      partials[i] = {};
      for (int pos = 0; pos < count; pos++) row[pos] = 0;
      continue;
    }
    const int padded = (count + LANES - 1) / LANES * LANES;
    vf most = splat(-INFINITY);
    for (int pos = 0; pos < padded; pos += W) {
      const vf x = select(lane + pos < splat_int(seen), load<vf>(row + pos), splat(-INFINITY));
      store(row + pos, x);
      most = vmax(x, most);
    }
    const float top = max_lanes(most);
    vf total[PARTS] = {};
    for (int pos = 0; pos < padded; pos += LANES)
      for (int part = 0; part < PARTS; part++) {
        const vf e = vexp(load<vf>(row + pos + part * W) - top);
        store(row + pos + part * W, e);
        total[part] += e;
      }
    float sum = 0;
    for (int part = 0; part < PARTS; part++) sum += sum_lanes(total[part]);
    partials[i] = {top, sum};
  }
  weigh<N>(c, p, count, out, ldo);
}

static void attend(int n, const Chunk& c, const float* q, int ldq, const int* limits, int chunk, float* out, int ldo, Partial* partials) {
  while (n > 0) {
    int done;
    if (n >= 8) attend_chunk<8>(c, q, ldq, limits, chunk, out, ldo, partials), done = 8;
    else if (n >= 6) attend_chunk<6>(c, q, ldq, limits, chunk, out, ldo, partials), done = 6;
    else if (n >= 4) attend_chunk<4>(c, q, ldq, limits, chunk, out, ldo, partials), done = 4;
    else if (n == 3) attend_chunk<3>(c, q, ldq, limits, chunk, out, ldo, partials), done = 3;
    else if (n == 2) attend_chunk<2>(c, q, ldq, limits, chunk, out, ldo, partials), done = 2;
    else attend_chunk<1>(c, q, ldq, limits, chunk, out, ldo, partials), done = 1;
    n -= done, q += done * ldq, limits += done, out += done * ldo, partials += done;
  }
}

// into (most, sum, values) += from; both unnormalised. An empty one changes nothing.
static inline void merge(Partial& into, float* values, const Partial& from, const float* other, int padded) {
  if (from.sum == 0) return;
  const float most = from.most > into.most ? from.most : into.most;
  const float keep = vexp(splat(into.most - most))[0], add = vexp(splat(from.most - most))[0];
  for (int d = 0; d < padded; d += W) store(values + d, fma(load<vf>(other + d), splat(add), load<vf>(values + d) * keep));
  into = {most, into.sum * keep + from.sum * add};
}
