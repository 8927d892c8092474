// A LoRA adapter beside the packed weights: y += B u, u = scale * A x, without a phase of its own. Whoever finishes
// 16 inputs of the next product multiplies A's columns for them (`enter`); whoever normalises or rounds a column
// adds up what those gave, in order (`settle`); whoever finishes 16 outputs adds B u to them (`leave`).
#pragma once
#include <cstdlib>

#include "matmul.h"

struct LoraEntry {            // of the layers that share an input
  uint16_t* a = nullptr;      // bfloat16 [pair of inputs, to a multiple of 16][width][2]
  int width = 0, blocks = 0;  // of u; of 16 inputs
};

struct LoraExit {         // of one layer
  uint16_t* b = nullptr;  // bfloat16 [block of 16 outputs][pair of the padded rank][16][2]
  int at = 0;             // where its part of u begins
};

struct LoraLayer {
  enum Input { QKV, PROJ, GATE, DOWN, INPUTS };
  LoraEntry entry[INPUTS];
  LoraExit q, k, v, proj, gate, up, down;
};

struct Lora {
  int rank = 0, padded = 0;  // padded: to a multiple of LANES
  float scale = 0;
  void* slab = nullptr;
  size_t most_pieces = 0, most_u = 0;  // floats a column
  std::vector<float> pieces, u;        // [column][block][width] and [column][most_u], for one input at a time

  Lora() = default;
  Lora(const Lora&) = delete;
  Lora& operator=(Lora&& other) {
    std::swap(slab, other.slab);
    rank = other.rank, padded = other.padded, scale = other.scale, most_pieces = other.most_pieces, most_u = other.most_u;
    return *this;
  }
  ~Lora() { free(slab); }

  void reserve(int columns) {
    if (pieces.size() < most_pieces * columns) pieces.resize(most_pieces * columns);
    if (u.size() < most_u * columns) u.resize(most_u * columns);
  }

  // x's values from 16 block on, of the columns from `begin` to `end`, times `norm` if there is one.
  void enter(const LoraEntry& e, int block, const Columns& x, const float* norm, int begin, int end) {
    static thread_local std::vector<float> normed;
    const float* from = x.column(begin) + block * LANES;
    int step = x.ld;
    if (norm) {
      if (normed.size() < size_t(end - begin) * LANES) normed.resize(size_t(end - begin) * LANES);
      for (int t = 0; t < end - begin; t++)
        for (int i = 0; i < LANES; i += W) store(normed.data() + t * LANES + i, load<vf>(from + size_t(t) * step + i) * load<vf>(norm + block * LANES + i));
      from = normed.data(), step = LANES;
    }
    const uint16_t* a = e.a + size_t(block) * LANES * e.width;
    fetch(a + LANES * e.width, e.width * LANES);
    for (int v = 0; v < e.width; v += W) {
      vf weights[LANES];
      load_pairs(a + v * 2, e.width * 2, weights);
      float* to = pieces.data() + (size_t(begin) * e.blocks + block) * e.width + v;
      for (int t = 0; t < end - begin; t++) store(to + size_t(t) * e.blocks * e.width, product(weights, from + size_t(t) * step, vf{}));
    }
  }
  void enter_all(const LoraEntry& e, const Columns& x, const float* norm, int begin, int end) {
    for (int block = 0; block < e.blocks; block++) enter(e, block, x, norm, begin, end);
  }

  void settle(const LoraEntry& e, int t, float factor) {
    if (!e.a) return;
    for (int v = 0; v < e.width; v += W) {
      const float* from = pieces.data() + size_t(t) * e.blocks * e.width + v;
      vf sums[4] = {};
      for (int block = 0; block < e.blocks; block++) sums[block % 4] += load<vf>(from + size_t(block) * e.width);
      store(u.data() + size_t(t) * most_u + v, ((sums[0] + sums[1]) + (sums[2] + sums[3])) * (factor * scale));
    }
  }

  // out[column][16] += the block's 16 rows of B times u.
  void leave(const LoraExit& e, int block, int columns, float* out) const {
    if (!e.b) return;
    for (int part = 0; part < LANES; part += W)
      for (int first = 0; first < padded; first += LANES) {
        const uint16_t* b = e.b + (size_t(block) * padded + first) * LANES + part * 2;
        if (part == 0) fetch(b + padded * LANES, LANES * LANES);
        vf weights[LANES];
        load_pairs(b, LANES * 2, weights);
        for (int t = 0; t < columns; t++) {
          float* to = out + size_t(t) * LANES + part;
          store(to, product(weights, u.data() + size_t(t) * most_u + e.at + first, load<vf>(to)));
        }
      }
  }

 private:
  static void fetch(const uint16_t* from, int count) {  // short runs between the weights: the processor sees no stream
    for (int i = 0; i < count; i += 32) __builtin_prefetch(from + i);
  }
  static void load_pairs(const uint16_t* from, int step, vf* weights) {  // two numbers of bfloat16 side by side in a lane
    for (int i = 0; i < LANES; i += 2) {
      const vu both = load<vu>(from + i / 2 * step);
      weights[i] = (vf)(both << 16), weights[i + 1] = (vf)(both & 0xffff0000);
    }
  }
  static vf product(const vf* weights, const float* x, vf start) {  // four sums: one would wait for its own additions
    vf sums[4] = {start};
    for (int i = 0; i < LANES; i++) sums[i % 4] = fma(weights[i], splat(x[i]), sums[i % 4]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
};
