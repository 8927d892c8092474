// Products of packed weights with a few or many columns of activations. An output's sum runs over the groups in
// order whatever the number of columns, so that a batch computes what each of its rows would alone.
#pragma once
#include "pack.h"

struct Scale {
  float scale, sum;   // of a group's int8 values: step, and step times their sum
  int32_t low, high;  // -128 times the sum of the lower and upper 16
};

// Columns of length `cols`: float32 [column][ld], and int8 groups as [tile of `width`][group][column][32].
struct Columns {
  int count = 0, cols = 0, ld = 0, width = 1;
  std::vector<float> values;
  std::vector<int8_t> codes;
  std::vector<Scale> scales;
  void shape(int n_columns, int n_cols) {
    count = n_columns, cols = n_cols, ld = (n_cols + LANES - 1) / LANES * LANES, width = n_columns <= WIDEST ? n_columns : TILE;
    const size_t padded = size_t(tiles()) * width;
    if (values.size() < padded * ld) values.assign(padded * ld, 0.f);
    if (codes.size() < padded * cols) codes.assign(padded * cols, 0);
    if (scales.size() < padded * (cols / GROUP)) scales.assign(padded * (cols / GROUP), Scale{});
  }
  int tiles() const { return (count + width - 1) / width; }
  float* column(int t) { return values.data() + size_t(t) * ld; }
  const float* column(int t) const { return values.data() + size_t(t) * ld; }
  size_t group_at(int t, int g) const { return (size_t(t / width) * (cols / GROUP) + g) * width + t % width; }
};

// Round column t to int8, a step for each group of 32.
static void quantize(Columns& c, int t) {
  const float* values = c.column(t);
  for (int g = 0; g < c.cols / GROUP; g++) {
    const float* x = values + g * GROUP;
    vf largest = vabs(load<vf>(x));
    for (int i = W; i < GROUP; i += W) largest = vmax(largest, vabs(load<vf>(x + i)));
    const float most = max_lanes(largest), inverse = most > 0 ? 127.f / most : 0.f;
    const size_t at = c.group_at(t, g);
    int8_t* to = c.codes.data() + at * GROUP;
    int32_t sums[2] = {0, 0};
    for (int half = 0; half < 2; half++) {
      vi total{};
      for (int i = half * 16; i < half * 16 + 16; i += W) {
        const vf shifted = fma(load<vf>(x + i), splat(inverse), splat(12582912.f));  // rounds to nearest even
        const vi whole = (vi)shifted - 0x4b400000;
        total += whole;
        typedef int8_t vc __attribute__((vector_size(W)));
        store(to + i, __builtin_convertvector(whole, vc));
      }
      sums[half] = sum_lanes(total);
    }
    const float step = most / 127.f;
    c.scales[at] = {step, step * float(sums[0] + sums[1]), -128 * sums[0], -128 * sums[1]};
  }
}

// What rounding column t left, as column t + 1: the sum of both products has 16-bit activations.
static void quantize_rest(Columns& c, int t) {
  for (int g = 0; g < c.cols / GROUP; g++) {
    const size_t at = c.group_at(t, g);
    for (int i = 0; i < GROUP; i++) c.column(t + 1)[g * GROUP + i] = c.column(t)[g * GROUP + i] - c.scales[at].scale * float(c.codes[at * GROUP + i]);
  }
  quantize(c, t + 1);
}

// Codes 4j to 4j + 3 of each row, from nibbles and the bits above them.
template <Kind KIND, int J>
static inline vb full_codes(const uint8_t* weights) {
  constexpr HighBits at(KIND, J * 4);
  constexpr int left = 4 - at.shift;  // to bit 4; what crosses into the next byte is masked
  constexpr uint32_t mask = KIND == K6S ? 0x30303030 : 0x10101010;
  const vu nibbles = load<vu>(weights + J % 4 * 64), bits = load<vu>(weights + at.byte);
  const vu low = (J < 4 ? nibbles : nibbles >> 4) & 0x0f0f0f0f;
  const vu high = (left >= 0 ? bits << (left >= 0 ? left : 0) : bits >> (left >= 0 ? 0 : -left)) & mask;
  return (vb)(low | high);
}

template <Kind KIND, int T>
static inline void tile_codes(const Matrix& m, const uint8_t* block, int part, const int8_t* codes, const Scale* scales, int width, vf* out) {
  constexpr bool FOUR = code_bits(KIND) == 4;
  const int groups = m.groups();
  vf acc[T] = {};
  for (unsigned g = 0; g < unsigned(groups); g++) {
    const uint8_t *scale = block + scales_at(KIND, g) + part * W * (is_super(KIND) ? 1 : 2), *weights = block + codes_at(KIND, g) + part * W * 4;
    // With few columns the processor's own prefetching is best; with many it does not look far enough ahead.
    if (T >= 4 && part == 0)
      for (int line = is_super(KIND) && g % SUPER ? 0 : -int(codes_at(KIND, 0) + 63) / 64 * 64; line < code_bytes(KIND); line += 64) __builtin_prefetch(weights + 4096 + line);
    vb w[8];
    if constexpr (FOUR) {
      for (int j = 0; j < 4; j++) {
        const vb both = load<vb>(weights + j * 64);
        w[j] = both & 15;
        if constexpr (WIDE_DOT) w[4 + j] = both & 0xf0;
        else w[4 + j] = (vb)((vu)both >> 4) & 15;
      }
    } else if constexpr (KIND == K8) {
      for (int j = 0; j < 8; j++) w[j] = load<vb>(weights + j * 64);
    } else {
      w[0] = full_codes<KIND, 0>(weights), w[1] = full_codes<KIND, 1>(weights);
      w[2] = full_codes<KIND, 2>(weights), w[3] = full_codes<KIND, 3>(weights);
      w[4] = full_codes<KIND, 4>(weights), w[5] = full_codes<KIND, 5>(weights);
      w[6] = full_codes<KIND, 6>(weights), w[7] = full_codes<KIND, 7>(weights);
    }
    vf d, e{};
    if constexpr (is_super(KIND)) {
      const uint16_t* halves = (const uint16_t*)(block + size_t(g / SUPER) * SUPER * group_bytes(KIND)) + part * W;
      d = load_half(halves);
      if constexpr (KIND == K4S) e = load_half(halves + LANES) * load_bytes<uint8_t>(scale + LANES), d *= load_bytes<uint8_t>(scale);
      else e = d * load_bytes<int8_t>(scale + LANES), d *= load_bytes<int8_t>(scale);
    } else {
      d = load_half((const uint16_t*)scale);
      if constexpr (scales_of(KIND) == 2) e = load_half((const uint16_t*)scale + LANES);
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; t++) {
      const int8_t* a = codes + t * GROUP;
      const Scale& s = scales[t];
      vi low{}, high{};
      if constexpr (KIND == K4) {
        low = splat_int(s.low >> 4);
        high = splat_int(WIDE_DOT ? s.high : s.high >> 4);
      } else if constexpr (KIND == K6S) {
        low = splat_int(s.low >> 2), high = splat_int(s.high >> 2);
      } else if constexpr (KIND == K8 && UNSIGNED_DOT) {
        low = splat_int(s.low), high = splat_int(s.high);
      }
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        if constexpr (KIND == K8) low = dot_bytes(low, w[j], a + j * 4), high = dot_bytes(high, w[4 + j], a + 16 + j * 4);
        else low = dot_codes(low, w[j], a + j * 4), high = dot_codes(high, w[4 + j], a + 16 + j * 4);
      }
      if constexpr (KIND == K6S) {
        acc[t] = fma(to_float(low), d * s.scale, acc[t]);
        acc[t] = fma(to_float(high), e * s.scale, acc[t]);
      } else {
        const vi total = low + (FOUR && WIDE_DOT ? high >> 4 : high);
        acc[t] = fma(to_float(total), d * s.scale, acc[t]);
        if constexpr (scales_of(KIND) == 2) acc[t] = fma(e, splat(s.sum), acc[t]);
      }
    }
    codes += width * GROUP;
    scales += width;
  }
  for (int t = 0; t < T; t++) out[t] = acc[t];
}

template <Kind KIND, int T>
static inline void tile_plain(const Matrix& m, const uint8_t* block, int part, const float* x, int ld, vf* out) {
  vf even[T] = {}, odd[T] = {};  // two sums each, or a single column would wait for its own additions
  const auto weight = [&](int k) {
    if constexpr (KIND == F32) return load<vf>((const float*)block + k * LANES + part * W);
    else return load_bf16((const uint16_t*)block + k * LANES + part * W);
  };
  int k = 0;
  for (; k + 1 < m.cols; k += 2) {
    const vf w0 = weight(k), w1 = weight(k + 1);
    for (int t = 0; t < T; t++) {
      even[t] = fma(w0, splat(x[t * ld + k]), even[t]);
      odd[t] = fma(w1, splat(x[t * ld + k + 1]), odd[t]);
    }
  }
  if (k < m.cols)
    for (int t = 0; t < T; t++) even[t] = fma(weight(k), splat(x[t * ld + k]), even[t]);
  for (int t = 0; t < T; t++) out[t] = even[t] + odd[t];
}

template <Kind KIND, int T>
static inline void tile(const Matrix& m, const uint8_t* block, int part, const Columns& x, int t, float* out) {
  vf sums[T];
  if constexpr (KIND == BF16 || KIND == F32) {
    tile_plain<KIND, T>(m, block, part, x.column(t), x.ld, sums);
  } else {
    const size_t at = x.group_at(t, 0);
    tile_codes<KIND, T>(m, block, part, x.codes.data() + at * GROUP, x.scales.data() + at, x.width, sums);
  }
  for (int i = 0; i < T; i++) store(out + size_t(t + i) * LANES + part * W, sums[i]);
}

// out[t][16] = the block's 16 rows times every column t.
template <Kind KIND>
static void multiply_kind(const Matrix& m, int index, const Columns& x, float* out) {
  const uint8_t* block = m.block(index);
  for (int part = 0; part < PARTS; part++) {
    for (int begin = 0; begin < x.count; begin += x.width) {
      int t = begin;
      const int end = begin + x.width < x.count ? begin + x.width : x.count;
      if constexpr (WIDEST >= 16)
        for (; t + 16 <= end; t += 16) tile<KIND, 16>(m, block, part, x, t, out);
      if constexpr (TILE >= 12)
        for (; t + 12 <= end; t += 12) tile<KIND, 12>(m, block, part, x, t, out);
      if constexpr (TILE >= 8)
        for (; t + 8 <= end; t += 8) tile<KIND, 8>(m, block, part, x, t, out);
      for (; t + 4 <= end; t += 4) tile<KIND, 4>(m, block, part, x, t, out);
      for (; t + 2 <= end; t += 2) tile<KIND, 2>(m, block, part, x, t, out);
      for (; t < end; t++) tile<KIND, 1>(m, block, part, x, t, out);
    }
  }
}

static void multiply(const Matrix& m, int index, const Columns& x, float* out) {
  switch (m.kind) {
    case K4: return multiply_kind<K4>(m, index, x, out);
    case K4M: return multiply_kind<K4M>(m, index, x, out);
    case K5M: return multiply_kind<K5M>(m, index, x, out);
    case K4S: return multiply_kind<K4S>(m, index, x, out);
    case K6S: return multiply_kind<K6S>(m, index, x, out);
    case K8: return multiply_kind<K8>(m, index, x, out);
    case BF16: return multiply_kind<BF16>(m, index, x, out);
    default: return multiply_kind<F32>(m, index, x, out);
  }
}
