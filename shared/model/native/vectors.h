// The only file that knows instruction sets: W float lanes, and the few operations that compilers do not find
// by themselves. Everything else is written with GCC/Clang vector types of this width.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define ISA_NAME "avx512vnni"
#define ISA_AVX512
constexpr int W = 16, TILE = 12, WIDEST = 16;
constexpr bool UNSIGNED_DOT = true, WIDE_DOT = true;
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define ISA_AVX2
constexpr int W = 8, TILE = 4, WIDEST = 4;
#if defined(__AVXVNNI__)
#define ISA_NAME "avxvnni"
constexpr bool UNSIGNED_DOT = true, WIDE_DOT = true;
#else
#define ISA_NAME "avx2"
constexpr bool UNSIGNED_DOT = false, WIDE_DOT = false;
#endif
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define ISA_NAME "neon"
#define ISA_NEON
constexpr int W = 4, TILE = 8, WIDEST = 8;
constexpr bool UNSIGNED_DOT = false, WIDE_DOT = false;
#else
#define ISA_NAME "scalar"
#define ISA_SCALAR
constexpr int W = 4, TILE = 4, WIDEST = 4;
constexpr bool UNSIGNED_DOT = false, WIDE_DOT = false;
#endif
// TILE columns share a weight that was read; up to WIDEST go in one pass when there are no more.
// UNSIGNED_DOT: 8-bit codes are read as they are, 128 too large, and the caller subtracts 128 times the sum of
// the activations; elsewhere dot_bytes makes them signed. WIDE_DOT: codes up to 240 times 127 do not saturate.

constexpr int LANES = 16;          // output rows of a packed block
constexpr int PARTS = LANES / W;   // vectors of W lanes in it

typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
typedef uint32_t vu __attribute__((vector_size(W * 4)));
typedef uint8_t vb __attribute__((vector_size(W * 4)));
typedef uint16_t vh __attribute__((vector_size(W * 2)));

template <class V> static inline V load(const void* from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class V> static inline void store(void* to, V value) { std::memcpy(to, &value, sizeof value); }
static inline vf splat(float x) { return x - vf{}; }
static inline vi splat_int(int32_t x) { return vi{} + x; }
static inline vf to_float(vi x) { return __builtin_convertvector(x, vf); }
static inline vf select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
static inline vf vmax(vf a, vf b) {
#if defined(ISA_AVX512)
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(ISA_AVX2)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return select(a > b, a, b);
#endif
}
static inline vf vmin(vf a, vf b) { return -vmax(-a, -b); }
static inline vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }

static inline vf fma(vf a, vf b, vf c) {
#if defined(ISA_AVX512)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(ISA_AVX2)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(ISA_NEON)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

typedef int32_t four_bytes __attribute__((may_alias, aligned(1)));  // read in place, so that loads broadcast them

// Lane r: acc += sum over i < 4 of w[4r + i] * a[i]. Codes are below 128, or WIDE_DOT holds.
static inline vi dot_codes(vi acc, vb w, const int8_t* a) {
#if defined(ISA_SCALAR)
  for (int row = 0; row < W; row++)
    for (int i = 0; i < 4; i++) acc[row] += int32_t(w[row * 4 + i]) * a[i];
  return acc;
#elif defined(ISA_NEON)
  return (vi)vdotq_s32((int32x4_t)acc, (int8x16_t)w, vreinterpretq_s8_s32(vdupq_n_s32(*(const four_bytes*)a)));
#elif defined(ISA_AVX2) && defined(__AVXVNNI__)
  return (vi)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)w, _mm256_set1_epi32(*(const four_bytes*)a));
#elif defined(ISA_AVX2)
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)w, _mm256_set1_epi32(*(const four_bytes*)a));
  return acc + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
  return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)w, _mm512_set1_epi32(*(const four_bytes*)a));
#endif
}

// The same for bytes that hold a signed weight plus 128; see UNSIGNED_DOT.
static inline vi dot_bytes(vi acc, vb w, const int8_t* a) {
#if defined(ISA_SCALAR)
  for (int row = 0; row < W; row++)
    for (int i = 0; i < 4; i++) acc[row] += (int32_t(w[row * 4 + i]) - 128) * a[i];
  return acc;
#elif defined(ISA_NEON)
  return dot_codes(acc, w ^ 0x80, a);
#elif defined(ISA_AVX2) && !defined(__AVXVNNI__)
  const __m256i s = (__m256i)(w ^ 0x80);  // |s| <= 128 and |a| <= 127: a pair stays below 2^15
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(s), _mm256_sign_epi8(_mm256_set1_epi32(*(const four_bytes*)a), s));
  return acc + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
  return dot_codes(acc, w, a);
#endif
}

static inline float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, magnitude = half & 0x7fff;
  uint32_t bits;
  if (magnitude >= 0x7c00) {
    bits = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
  } else if (magnitude >= 0x400) {
    bits = sign | ((magnitude << 13) + 0x38000000);
  } else {
    const float value = float(magnitude) * 5.9604644775390625e-8f;
    std::memcpy(&bits, &value, 4);
    bits |= sign;
  }
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

static inline uint16_t float_to_half(float value) {  // nearest even; too large becomes the largest finite
  if (!(std::fabs(value) < 65504.f)) return value < 0 ? 0xfbff : 0x7bff;
#if defined(__F16C__)
  return uint16_t(_cvtss_sh(value, 0));
#else
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude < 0x38800000) return uint16_t(sign | uint32_t(std::nearbyint(std::fabs(value) * 16777216.f)));
  return uint16_t(sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13));
#endif
}

static inline vf load_half(const uint16_t* from) {
#if defined(ISA_AVX2)
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
#elif defined(ISA_NEON)
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
#elif defined(ISA_SCALAR)
  vf result;
  for (int lane = 0; lane < W; lane++) result[lane] = half_to_float(from[lane]);
  return result;
#else
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#endif
}

// W whole numbers of one byte each; GCC 12 takes the generic conversion apart lane by lane.
template <class Byte> static inline vf load_bytes(const uint8_t* from) {
  constexpr bool SIGNED = Byte(-1) < 0;
#if defined(ISA_AVX512)
  const __m128i bytes = _mm_loadu_si128((const __m128i*)from);
  return to_float((vi)(SIGNED ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes)));
#elif defined(ISA_AVX2)
  const __m128i bytes = _mm_loadl_epi64((const __m128i*)from);
  return to_float((vi)(SIGNED ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes)));
#else
  vf result;
  for (int lane = 0; lane < W; lane++) result[lane] = float(Byte(from[lane]));
  return result;
#endif
}

static inline vf load_bf16(const uint16_t* from) {
  return (vf)(__builtin_convertvector(load<vh>(from), vu) << 16);
}

// The W floats as float16, nearest even.
static inline void store_half(uint16_t* to, vf x) {
#if defined(ISA_AVX512)
  _mm256_storeu_si256((__m256i*)to, _mm512_cvtps_ph(_mm512_min_ps(_mm512_max_ps((__m512)x, _mm512_set1_ps(-65504)), _mm512_set1_ps(65504)), 0));
#else
  for (int lane = 0; lane < W; lane++) to[lane] = float_to_half(x[lane]);
#endif
}

static inline float sum_lanes(vf x) {
#if defined(ISA_AVX512)
  return _mm512_reduce_add_ps((__m512)x);
#else
  float sums[W];
  std::memcpy(sums, &x, sizeof x);
  for (int step = W / 2; step > 0; step /= 2)
    for (int lane = 0; lane < step; lane++) sums[lane] += sums[lane + step];
  return sums[0];
#endif
}
static inline int32_t sum_lanes(vi x) {
#if defined(ISA_AVX512)
  return _mm512_reduce_add_epi32((__m512i)x);
#else
  int32_t total = 0;
  for (int lane = 0; lane < W; lane++) total += x[lane];
  return total;
#endif
}
static inline float max_lanes(vf x) {
#if defined(ISA_AVX512)
  return _mm512_reduce_max_ps((__m512)x);
#else
  float most = x[0];
  for (int lane = 1; lane < W; lane++) most = x[lane] > most ? x[lane] : most;
  return most;
#endif
}
// Neighbours swapped: 1 0 3 2 …
static inline vf swap_pairs(vf x) {
  vi order;
  for (int lane = 0; lane < W; lane++) order[lane] = lane ^ 1;
#if defined(__clang__)
  vf y;
  for (int lane = 0; lane < W; lane++) y[lane] = x[lane ^ 1];
  return y;
#else
  return __builtin_shuffle(x, order);
#endif
}

// e^x to about 2 units in the last place (Cephes expf); 0 below -87.
static inline vf vexp(vf x) {
  const vi tiny = x < splat(-87.f);
  x = vmin(vmax(x, splat(-87.f)), splat(88.f));
  const vf shifted = fma(x, splat(1.44269504f), splat(12582912.f));
  const vf n = shifted - 12582912.f;
  vf r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  const vf value = fma(p, r * r, r + 1.f);
  const vi scaled = (vi)value + ((vi)shifted << 23);
  return select(tiny, vf{}, (vf)scaled);
}
