// A square of numbers in registers, transposed: between records in memory and vectors across them.
#pragma once

#include "splat/simd.h"

SPLAT_BEGIN

/// Lane i of rows[j] and lane j of rows[i] change places.
template <class V>
inline void transpose(V* rows) {
  float numbers[V::width][V::width], column[V::width];
  for (int i = 0; i < V::width; ++i) rows[i].store(numbers[i]);
  for (int i = 0; i < V::width; ++i) {
    for (int j = 0; j < V::width; ++j) column[j] = numbers[j][i];
    rows[i] = V::load(column);
  }
}

#if defined(SPLAT_X86)
template <>
inline void transpose(simd<float, 4>* rows) {
  _MM_TRANSPOSE4_PS(rows[0].v, rows[1].v, rows[2].v, rows[3].v);
}
#elif defined(__aarch64__)
template <>
inline void transpose(simd<float, 4>* rows) {
  const float32x4x2_t a = vtrnq_f32(rows[0].v, rows[1].v), b = vtrnq_f32(rows[2].v, rows[3].v);
  rows[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  rows[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  rows[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  rows[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
#endif

#if defined(SPLAT_X86) && defined(__AVX2__)
/// Quads of four rows are transposed within each half, then the halves change places.
template <>
inline void transpose(simd<float, 8>* rows) {
  __m256 pairs[8], quads[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i].v, rows[i + 1].v);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int half = 0; half < 2; ++half) {
      const __m256 first = pairs[i + half], second = pairs[i + half + 2];
      quads[i + 2 * half] = _mm256_shuffle_ps(first, second, _MM_SHUFFLE(1, 0, 1, 0));
      quads[i + 2 * half + 1] = _mm256_shuffle_ps(first, second, _MM_SHUFFLE(3, 2, 3, 2));
    }
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}
#endif

#if defined(SPLAT_X86) && defined(__AVX512F__)
template <>
inline void transpose(simd<float, 16>* rows) {
  __m512 pairs[16], quads[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
    pairs[i + 1] = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int half = 0; half < 2; ++half) {
      const __m512 first = pairs[i + half], second = pairs[i + half + 2];
      quads[i + 2 * half] = _mm512_shuffle_ps(first, second, _MM_SHUFFLE(1, 0, 1, 0));
      quads[i + 2 * half + 1] = _mm512_shuffle_ps(first, second, _MM_SHUFFLE(3, 2, 3, 2));
    }
  }
  // quads[4 q + i] holds, for the rows from 4 q on, columns i, i + 4, i + 8 and i + 12, a quarter each.
  for (int i = 0; i < 4; ++i) {
    const __m512 low_even = _mm512_shuffle_f32x4(quads[i], quads[i + 4], _MM_SHUFFLE(2, 0, 2, 0));
    const __m512 low_odd = _mm512_shuffle_f32x4(quads[i], quads[i + 4], _MM_SHUFFLE(3, 1, 3, 1));
    const __m512 high_even = _mm512_shuffle_f32x4(quads[i + 8], quads[i + 12], _MM_SHUFFLE(2, 0, 2, 0));
    const __m512 high_odd = _mm512_shuffle_f32x4(quads[i + 8], quads[i + 12], _MM_SHUFFLE(3, 1, 3, 1));
    rows[i] = _mm512_shuffle_f32x4(low_even, high_even, _MM_SHUFFLE(2, 0, 2, 0));
    rows[i + 4] = _mm512_shuffle_f32x4(low_odd, high_odd, _MM_SHUFFLE(2, 0, 2, 0));
    rows[i + 8] = _mm512_shuffle_f32x4(low_even, high_even, _MM_SHUFFLE(3, 1, 3, 1));
    rows[i + 12] = _mm512_shuffle_f32x4(low_odd, high_odd, _MM_SHUFFLE(3, 1, 3, 1));
  }
}
#endif

SPLAT_END
