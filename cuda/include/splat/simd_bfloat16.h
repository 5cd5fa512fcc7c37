// Vectors of floats from and to memory that holds floats or bfloat16.
#pragma once

#include "splat/bfloat16.h"
#include "splat/simd.h"

SPLAT_BEGIN

template <class V>
inline V load(const float* from) {
  return V::load(from);
}
template <class V>
inline V load(const bfloat16* from) {
  float numbers[V::width];
  for (int i = 0; i < V::width; ++i) numbers[i] = widen(from[i]);
  return V::load(numbers);
}

/// Floats are stored as they are; to bfloat16, lane i is rounded by the random number `random` + i strides.
template <class V>
inline void store(V vector, float* to, uint32_t) {
  vector.store(to);
}
template <class V>
inline void store(V vector, bfloat16* to, uint32_t random) {
  float numbers[V::width];
  vector.store(numbers);
  for (int i = 0; i < V::width; ++i) to[i] = round_at_random(numbers[i], random + i * kRandomStride);
}

#if defined(SPLAT_X86)
template <>
inline simd<float, 4> load(const bfloat16* from) {
  const __m128i halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), halves));
}
template <>
inline void store(simd<float, 4> vector, bfloat16* to, uint32_t random) {
  const __m128i strides = _mm_setr_epi32(0, kRandomStride, 2 * kRandomStride, 3 * kRandomStride);
  const __m128i share = _mm_srli_epi32(_mm_add_epi32(_mm_set1_epi32(random), strides), 16);
  const __m128i not_nan = _mm_castps_si128((vector == vector).v);
  const __m128i sum = _mm_add_epi32(_mm_castps_si128(vector.v), _mm_and_si128(share, not_nan));
  const __m128i upper = _mm_srai_epi32(sum, 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(upper, upper));
}
#elif defined(__aarch64__)
template <>
inline simd<float, 4> load(const bfloat16* from) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(&from->bits)), 16));
}
template <>
inline void store(simd<float, 4> vector, bfloat16* to, uint32_t random) {
  static const uint32_t strides[4] = {0, kRandomStride, 2 * kRandomStride, 3 * kRandomStride};
  const uint32x4_t share = vshrq_n_u32(vaddq_u32(vdupq_n_u32(random), vld1q_u32(strides)), 16);
  const uint32x4_t sum = vaddq_u32(vreinterpretq_u32_f32(vector.v), vandq_u32(share, (vector == vector).v));
  vst1_u16(&to->bits, vshrn_n_u32(sum, 16));
}
#endif

#if defined(SPLAT_X86) && defined(__AVX2__)
template <>
inline simd<float, 8> load(const bfloat16* from) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
template <>
inline void store(simd<float, 8> vector, bfloat16* to, uint32_t random) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i strides = _mm256_mullo_epi32(lanes, _mm256_set1_epi32(kRandomStride));
  const __m256i share = _mm256_srli_epi32(_mm256_add_epi32(_mm256_set1_epi32(random), strides), 16);
  const __m256i not_nan = _mm256_castps_si256((vector == vector).v);
  const __m256i sum = _mm256_add_epi32(_mm256_castps_si256(vector.v), _mm256_and_si256(share, not_nan));
  const __m256i upper = _mm256_srai_epi32(sum, 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(upper, upper), _MM_SHUFFLE(3, 1, 2, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
#endif

#if defined(SPLAT_X86) && defined(__AVX512F__)
template <>
inline simd<float, 16> load(const bfloat16* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
template <>
inline void store(simd<float, 16> vector, bfloat16* to, uint32_t random) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i strides = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(kRandomStride));
  const __m512i share = _mm512_srli_epi32(_mm512_add_epi32(_mm512_set1_epi32(random), strides), 16);
  const __m512i bits = _mm512_castps_si512(vector.v);
  const __m512i sum = _mm512_mask_add_epi32(bits, (vector == vector).v, bits, share);
  const __m256i upper = _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), upper);
}
#endif

SPLAT_END
