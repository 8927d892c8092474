// Weights from GGUF blocks into the layout the kernels read: 16 output rows side by side, 32 inputs a group.
// Formats: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h (block_q4_0 to block_q6_K).
#pragma once
#include <vector>

#include "vectors.h"

enum Kind { K4, K4M, K5M, K4S, K6S, K8, BF16, F32, NO_KIND };
// K4, K4M: 4-bit codes, 8 too large or with a minimum. K5M: 5-bit codes with a minimum. K8: signed bytes.
// K4S, K6S: Q4_K and Q6_K with their own scales, bytes times one float16 for eight groups; 6-bit codes are 32 too large.
// BF16, F32: plain numbers, one column of 16 rows after the other.

constexpr int GROUP = 32;

constexpr bool is_super(Kind kind) { return kind == K4S || kind == K6S; }
constexpr int scales_of(Kind kind) { return kind == K4 || kind == K8 ? 1 : 2; }
constexpr int code_bits(Kind kind) { return kind == K8 ? 8 : kind == K6S ? 6 : kind == K5M ? 5 : 4; }
// Codes of 4 to 6 bits are nibbles, the lower half of the group in the lower ones; bits 4 and 5 follow.
constexpr int code_bytes(Kind kind) { return code_bits(kind) * GROUP / 8 * LANES; }
// A group of a block: float16 scales of the 16 rows, once or twice, then codes: one stream for the prefetcher. Of a
// super-block: two float16 of the 16 rows, then for each of eight groups two bytes of them, then the codes of all.
constexpr int SUPER = 8, SUPER_HEADER = 2 * LANES * (2 + SUPER);
constexpr int group_bytes(Kind kind) { return (is_super(kind) ? SUPER_HEADER / SUPER : scales_of(kind) * LANES * 2) + code_bytes(kind); }
constexpr size_t scales_at(Kind kind, unsigned g) {  // of a super-block: of its bytes, the header is at the start
  return is_super(kind) ? size_t(g / SUPER) * SUPER * group_bytes(kind) + LANES * 4 + g % SUPER * LANES * 2 : size_t(g) * group_bytes(kind);
}
constexpr size_t codes_at(Kind kind, unsigned g) {
  return is_super(kind) ? size_t(g / SUPER) * SUPER * group_bytes(kind) + SUPER_HEADER + g % SUPER * code_bytes(kind)
                        : size_t(g) * group_bytes(kind) + scales_of(kind) * LANES * 2;
}
constexpr int NIBBLES = GROUP / 2 * LANES;  // bytes before the higher bits

// Where the bits above the nibble of code i lie: byte behind the nibbles of row 0, and shift.
struct HighBits {
  int byte, shift;
  constexpr HighBits(Kind kind, int i) : byte(NIBBLES + i / 4 * (code_bits(kind) - 4) / 8 * 64 + i % 4), shift(i / 4 * (code_bits(kind) - 4) % 8) {}
};

struct Matrix {
  Kind kind = NO_KIND;
  int rows = 0, cols = 0;
  uint8_t* data = nullptr;
  size_t step = 0;  // bytes from one block to the next
  int blocks() const { return (rows + LANES - 1) / LANES; }
  int groups() const { return cols / GROUP; }
  size_t block_bytes() const {
    if (kind >= BF16) return size_t(cols) * LANES * (kind == BF16 ? 2 : 4);
    return (size_t(group_bytes(kind)) * groups() + 63) / 64 * 64;
  }
  const uint8_t* block(int index) const { return data + step * index; }
};

// Numbers of ggml's types.
enum Ggml { G_F32 = 0, G_F16 = 1, G_Q4_0 = 2, G_Q4_1 = 3, G_Q5_0 = 6, G_Q5_1 = 7, G_Q8_0 = 8, G_Q4_K = 12, G_Q5_K = 13, G_Q6_K = 14, G_BF16 = 30 };

static inline Kind kind_of(int type) {
  switch (type) {
    case G_F32: case G_F16: return F32;
    case G_BF16: return BF16;
    case G_Q4_0: return K4;
    case G_Q4_1: return K4M;
    case G_Q4_K: return K4S;
    case G_Q8_0: case G_Q5_0: return K8;
    case G_Q5_1: case G_Q5_K: return K5M;
    case G_Q6_K: return K6S;
    default: return NO_KIND;
  }
}

static size_t row_bytes(int type, int cols) {
  switch (type) {
    case G_F32: return size_t(cols) * 4;
    case G_F16: case G_BF16: return size_t(cols) * 2;
    case G_Q4_0: return size_t(cols) / 32 * 18;
    case G_Q4_1: return size_t(cols) / 32 * 20;
    case G_Q5_0: return size_t(cols) / 32 * 22;
    case G_Q5_1: return size_t(cols) / 32 * 24;
    case G_Q8_0: return size_t(cols) / 32 * 34;
    case G_Q4_K: return size_t(cols) / 256 * 144;
    case G_Q5_K: return size_t(cols) / 256 * 176;
    case G_Q6_K: return size_t(cols) / 256 * 210;
    default: return 0;
  }
}

struct Group {
  uint8_t code[GROUP];
  uint16_t first = 0, second = 0;  // float16: scale, then minimum; of a super-block what its bytes are multiplied by
  uint8_t bytes[2] = {0, 0};       // of a super-block: scale, then minimum or the scale of the upper 16
};

static inline uint16_t half_at(const uint8_t* from) { return uint16_t(from[0] | from[1] << 8); }

static inline void k_scale(const uint8_t* s, int j, int& scale, int& minimum) {
  if (j < 4) {
    scale = s[j] & 63;
    minimum = s[j + 4] & 63;
  } else {
    scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    minimum = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
  }
}

// Group `g` of a row of the file, as codes from 0 and scales.
static Group read_group(int type, const uint8_t* row, int g) {
  Group out;
  const auto nibbles = [&](const uint8_t* q) {
    for (int i = 0; i < 16; i++) out.code[i] = q[i] & 15, out.code[i + 16] = q[i] >> 4;
  };
  const auto fifth_bits = [&](const uint8_t* from, int offset) {
    uint32_t bits;
    std::memcpy(&bits, from, 4);
    for (int i = 0; i < GROUP; i++) out.code[i] = uint8_t(out.code[i] + (bits >> i & 1) * 16 + offset);
  };
  if (type == G_Q4_0 || type == G_Q4_1) {
    const uint8_t* b = row + g * (type == G_Q4_0 ? 18 : 20);
    out.first = half_at(b);
    if (type == G_Q4_1) out.second = half_at(b + 2);
    nibbles(b + (type == G_Q4_0 ? 2 : 4));
  } else if (type == G_Q5_0) {
    const uint8_t* b = row + g * 22;
    out.first = half_at(b);
    nibbles(b + 6);
    fifth_bits(b + 2, 128 - 16);
  } else if (type == G_Q5_1) {
    const uint8_t* b = row + g * 24;
    out.first = half_at(b), out.second = half_at(b + 2);
    nibbles(b + 8);
    fifth_bits(b + 4, 0);
  } else if (type == G_Q8_0) {
    const uint8_t* b = row + g * 34;
    out.first = half_at(b);
    for (int i = 0; i < GROUP; i++) out.code[i] = b[2 + i] ^ 0x80;
  } else if (type == G_Q4_K || type == G_Q5_K) {
    const int j = g % 8, header = type == G_Q4_K ? 16 : 48;
    const uint8_t *b = row + size_t(g / 8) * (type == G_Q4_K ? 144 : 176), *q = b + header + j / 2 * 32;
    int scale, minimum;
    k_scale(b + 4, j, scale, minimum);
    if (type == G_Q4_K) {
      out.first = half_at(b), out.second = half_at(b + 2) ^ 0x8000;
      out.bytes[0] = uint8_t(scale), out.bytes[1] = uint8_t(minimum);
    } else {
      out.first = float_to_half(half_to_float(half_at(b)) * float(scale));
      out.second = float_to_half(-half_to_float(half_at(b + 2)) * float(minimum));
    }
    for (int i = 0; i < GROUP; i++) {
      out.code[i] = j % 2 ? q[i] >> 4 : q[i] & 15;
      if (type == G_Q5_K) out.code[i] = uint8_t(out.code[i] | (b[16 + i] >> j & 1) << 4);
    }
  } else {  // Q6_K
    const uint8_t* b = row + size_t(g / 8) * 210;
    const int half = g % 8 / 4, quarter = g % 4;
    const uint8_t *low = b + half * 64 + quarter % 2 * 32, *high = b + 128 + half * 32;
    std::memcpy(out.bytes, b + 192 + half * 8 + quarter * 2, 2);
    out.first = half_at(b + 208);
    for (int i = 0; i < GROUP; i++) {
      const int four = quarter < 2 ? low[i] & 15 : low[i] >> 4, two = high[i] >> quarter * 2 & 3;
      out.code[i] = uint8_t(four | two << 4);
    }
  }
  return out;
}

static void pack_block(const Matrix& m, int index, int type, const uint8_t* raw) {
  uint8_t* block = m.data + m.step * index;
  const int present = m.rows - index * LANES < LANES ? m.rows - index * LANES : LANES;
  std::memset(block, 0, m.block_bytes());
  for (int r = 0; r < present; r++) {
    const uint8_t* row = raw + row_bytes(type, m.cols) * (size_t(index) * LANES + r);
    if (m.kind == F32) {
      for (int k = 0; k < m.cols; k++) {
        float value;
        if (type == G_F32) std::memcpy(&value, row + k * 4, 4);
        else value = half_to_float(half_at(row + k * 2));
        ((float*)block)[k * LANES + r] = value;
      }
    } else if (m.kind == BF16) {
      for (int k = 0; k < m.cols; k++) ((uint16_t*)block)[k * LANES + r] = half_at(row + k * 2);
    } else {
      for (int g = 0; g < m.groups(); g++) {
        const Group group = read_group(type, row, g);
        uint8_t *scales = block + scales_at(m.kind, g), *to = block + codes_at(m.kind, g) + r * 4;
        if (is_super(m.kind)) {
          scales[r] = group.bytes[0], scales[LANES + r] = group.bytes[1];
          scales -= scales_at(m.kind, g % SUPER);
        }
        ((uint16_t*)scales)[r] = group.first;
        if (scales_of(m.kind) == 2) ((uint16_t*)scales)[LANES + r] = group.second;
        if (m.kind == K8) {
          for (int i = 0; i < GROUP; i++) to[i / 4 * 64 + i % 4] = group.code[i];
          continue;
        }
        for (int i = 0; i < 16; i++) to[i / 4 * 64 + i % 4] = uint8_t((group.code[i] & 15) | group.code[i + 16] << 4);
        if (code_bits(m.kind) == 4) continue;
        for (int i = 0; i < GROUP; i++) {
          const HighBits high(m.kind, i);
          to[high.byte] = uint8_t(to[high.byte] | group.code[i] >> 4 << high.shift);
        }
      }
    }
  }
}

// Row `index` as float32: what an embedding look-up needs.
static void unpack_row(const Matrix& m, int index, float* out) {
  const uint8_t* block = m.block(index / LANES);
  const int r = index % LANES;
  for (int k = 0; k < m.cols; k++) {
    if (m.kind == F32) {
      out[k] = ((const float*)block)[k * LANES + r];
      continue;
    }
    if (m.kind == BF16) {
      const uint32_t bits = uint32_t(((const uint16_t*)block)[k * LANES + r]) << 16;
      std::memcpy(out + k, &bits, 4);
      continue;
    }
    const int g = k / GROUP, i = k % GROUP;
    const uint8_t *scales = block + scales_at(m.kind, g), *codes = block + codes_at(m.kind, g) + r * 4;
    const uint16_t* halves = (const uint16_t*)(is_super(m.kind) ? scales - scales_at(m.kind, g % SUPER) : scales);
    float first = half_to_float(halves[r]), second = scales_of(m.kind) == 2 ? half_to_float(halves[LANES + r]) : 0;
    if (m.kind == K4S) first *= float(scales[r]), second *= float(scales[LANES + r]);
    if (m.kind == K6S) second = first * float(int8_t(scales[LANES + r])), first *= float(int8_t(scales[r]));
    if (m.kind == K8) {
      out[k] = first * (float(codes[i / 4 * 64 + i % 4]) - 128);
      continue;
    }
    const uint8_t byte = codes[i % 16 / 4 * 64 + i % 4];
    int whole = i < 16 ? byte & 15 : byte >> 4;
    if (code_bits(m.kind) > 4) {
      const HighBits high(m.kind, i);
      whole |= (codes[high.byte] >> high.shift & (m.kind == K6S ? 3 : 1)) << 4;
    }
    const float code = float(whole);
    if (m.kind == K4) out[k] = first * (code - 8);
    else if (m.kind == K6S) out[k] = (i < 16 ? first : second) * (code - 32);
    else out[k] = first * code + second;
  }
}
