// The float vectors of x86 as intrinsics: 4 lanes (SSE2, in every 64-bit x86), 8 (AVX2 + FMA), 16 (AVX-512 F/DQ).
// Included by simd.h only.
#pragma once

#if defined(__SSE2__) || defined(_M_X64)
#define SPLAT_X86
// gcc 12 takes the deliberately undefined operand of its own AVX-512 intrinsics for a mistake of ours.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

SPLAT_BEGIN

template <>
struct simd_mask<float, 4> {
  __m128 v;
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {_mm_and_ps(a.v, b.v)}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {_mm_or_ps(a.v, b.v)}; }
  friend simd_mask operator!(simd_mask a) { return {_mm_xor_ps(a.v, _mm_castsi128_ps(_mm_set1_epi32(-1)))}; }
  uint32_t bits() const { return static_cast<uint32_t>(_mm_movemask_ps(v)); }
};

template <>
struct simd<float, 4> {
  static constexpr int width = 4;
  using mask = simd_mask<float, 4>;
  __m128 v;

  simd() = default;
  simd(__m128 value) : v(value) {}
  simd(float value) : v(_mm_set1_ps(value)) {}
  static simd load(const float* p) { return _mm_loadu_ps(p); }
  void store(float* p) const { _mm_storeu_ps(p, v); }
  static simd gather(const float* base, const int32_t* i) {
    return _mm_setr_ps(base[i[0]], base[i[1]], base[i[2]], base[i[3]]);
  }

  friend simd operator+(simd a, simd b) { return _mm_add_ps(a.v, b.v); }
  friend simd operator-(simd a, simd b) { return _mm_sub_ps(a.v, b.v); }
  friend simd operator*(simd a, simd b) { return _mm_mul_ps(a.v, b.v); }
  friend simd operator/(simd a, simd b) { return _mm_div_ps(a.v, b.v); }
  friend simd operator-(simd a) { return _mm_xor_ps(a.v, _mm_set1_ps(-0.0f)); }
  friend mask operator<(simd a, simd b) { return {_mm_cmplt_ps(a.v, b.v)}; }
  friend mask operator<=(simd a, simd b) { return {_mm_cmple_ps(a.v, b.v)}; }
  friend mask operator>(simd a, simd b) { return {_mm_cmpgt_ps(a.v, b.v)}; }
  friend mask operator>=(simd a, simd b) { return {_mm_cmpge_ps(a.v, b.v)}; }
  friend mask operator==(simd a, simd b) { return {_mm_cmpeq_ps(a.v, b.v)}; }
  friend simd select(mask m, simd a, simd b) { return _mm_or_ps(_mm_and_ps(m.v, a.v), _mm_andnot_ps(m.v, b.v)); }
  friend simd min(simd a, simd b) { return _mm_min_ps(a.v, b.v); }
  friend simd max(simd a, simd b) { return _mm_max_ps(a.v, b.v); }
  friend simd abs(simd a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a.v); }
  friend simd sqrt(simd a) { return _mm_sqrt_ps(a.v); }
#if defined(__FMA__)
  friend simd fma(simd a, simd b, simd c) { return _mm_fmadd_ps(a.v, b.v, c.v); }
  friend simd fnma(simd a, simd b, simd c) { return _mm_fnmadd_ps(a.v, b.v, c.v); }
#else
  friend simd fma(simd a, simd b, simd c) { return _mm_add_ps(_mm_mul_ps(a.v, b.v), c.v); }
  friend simd fnma(simd a, simd b, simd c) { return _mm_sub_ps(c.v, _mm_mul_ps(a.v, b.v)); }
#endif
  friend simd add_to_exponent(simd p, simd shifted) {
    return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(p.v), _mm_slli_epi32(_mm_castps_si128(shifted.v), 23)));
  }
  friend simd exponent(simd x) {
    return _mm_sub_ps(_mm_cvtepi32_ps(_mm_srli_epi32(_mm_castps_si128(x.v), 23)), _mm_set1_ps(127.0f));
  }
  friend simd mantissa(simd x) {
    const __m128 fraction = _mm_castsi128_ps(_mm_set1_epi32(0x007fffff));
    return _mm_or_ps(_mm_and_ps(x.v, fraction), _mm_set1_ps(1.0f));
  }
  friend simd keep(mask m, simd x) { return _mm_and_ps(m.v, x.v); }
  friend simd negative_where(mask m, simd x) { return _mm_or_ps(x.v, _mm_and_ps(m.v, _mm_set1_ps(-0.0f))); }
};

// MSVC's /arch:AVX2 turns FMA on without defining __FMA__.
#if defined(__AVX2__) && (defined(__FMA__) || defined(_MSC_VER))
template <>
struct simd_mask<float, 8> {
  __m256 v;
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {_mm256_and_ps(a.v, b.v)}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {_mm256_or_ps(a.v, b.v)}; }
  friend simd_mask operator!(simd_mask a) { return {_mm256_xor_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))}; }
  uint32_t bits() const { return static_cast<uint32_t>(_mm256_movemask_ps(v)); }
};

template <>
struct simd<float, 8> {
  static constexpr int width = 8;
  using mask = simd_mask<float, 8>;
  __m256 v;

  simd() = default;
  simd(__m256 value) : v(value) {}
  simd(float value) : v(_mm256_set1_ps(value)) {}
  static simd load(const float* p) { return _mm256_loadu_ps(p); }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  static simd gather(const float* base, const int32_t* i) {
    return _mm256_i32gather_ps(base, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(i)), 4);
  }

  friend simd operator+(simd a, simd b) { return _mm256_add_ps(a.v, b.v); }
  friend simd operator-(simd a, simd b) { return _mm256_sub_ps(a.v, b.v); }
  friend simd operator*(simd a, simd b) { return _mm256_mul_ps(a.v, b.v); }
  friend simd operator/(simd a, simd b) { return _mm256_div_ps(a.v, b.v); }
  friend simd operator-(simd a) { return _mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f)); }
  friend mask operator<(simd a, simd b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  friend mask operator<=(simd a, simd b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
  friend mask operator>(simd a, simd b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
  friend mask operator>=(simd a, simd b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
  friend mask operator==(simd a, simd b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
  friend simd select(mask m, simd a, simd b) { return _mm256_blendv_ps(b.v, a.v, m.v); }
  friend simd min(simd a, simd b) { return _mm256_min_ps(a.v, b.v); }
  friend simd max(simd a, simd b) { return _mm256_max_ps(a.v, b.v); }
  friend simd abs(simd a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v); }
  friend simd sqrt(simd a) { return _mm256_sqrt_ps(a.v); }
  friend simd fma(simd a, simd b, simd c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
  friend simd fnma(simd a, simd b, simd c) { return _mm256_fnmadd_ps(a.v, b.v, c.v); }
  friend simd add_to_exponent(simd p, simd shifted) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(p.v), _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23)));
  }
  friend simd exponent(simd x) {
    return _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_castps_si256(x.v), 23)), _mm256_set1_ps(127.0f));
  }
  friend simd mantissa(simd x) {
    const __m256 fraction = _mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff));
    return _mm256_or_ps(_mm256_and_ps(x.v, fraction), _mm256_set1_ps(1.0f));
  }
  friend simd keep(mask m, simd x) { return _mm256_and_ps(m.v, x.v); }
  friend simd negative_where(mask m, simd x) {
    return _mm256_or_ps(x.v, _mm256_and_ps(m.v, _mm256_set1_ps(-0.0f)));
  }
};
#endif  // AVX2

#if defined(__AVX512F__) && defined(__AVX512DQ__)
template <>
struct simd_mask<float, 16> {
  __mmask16 v;
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {static_cast<__mmask16>(a.v & b.v)}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {static_cast<__mmask16>(a.v | b.v)}; }
  friend simd_mask operator!(simd_mask a) { return {static_cast<__mmask16>(~a.v)}; }
  uint32_t bits() const { return v; }
};

template <>
struct simd<float, 16> {
  static constexpr int width = 16;
  using mask = simd_mask<float, 16>;
  __m512 v;

  simd() = default;
  simd(__m512 value) : v(value) {}
  simd(float value) : v(_mm512_set1_ps(value)) {}
  static simd load(const float* p) { return _mm512_loadu_ps(p); }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  static simd gather(const float* base, const int32_t* i) {
    return _mm512_i32gather_ps(_mm512_loadu_si512(i), base, 4);
  }

  friend simd operator+(simd a, simd b) { return _mm512_add_ps(a.v, b.v); }
  friend simd operator-(simd a, simd b) { return _mm512_sub_ps(a.v, b.v); }
  friend simd operator*(simd a, simd b) { return _mm512_mul_ps(a.v, b.v); }
  friend simd operator/(simd a, simd b) { return _mm512_div_ps(a.v, b.v); }
  friend simd operator-(simd a) { return _mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f)); }
  friend mask operator<(simd a, simd b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
  friend mask operator<=(simd a, simd b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
  friend mask operator>(simd a, simd b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
  friend mask operator>=(simd a, simd b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
  friend mask operator==(simd a, simd b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
  friend simd select(mask m, simd a, simd b) { return _mm512_mask_blend_ps(m.v, b.v, a.v); }
  friend simd min(simd a, simd b) { return _mm512_min_ps(a.v, b.v); }
  friend simd max(simd a, simd b) { return _mm512_max_ps(a.v, b.v); }
  friend simd abs(simd a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v); }
  // The masked form: gcc 12 warns of the plain one (its bug 105593), and makes the same instruction of both.
  friend simd sqrt(simd a) { return _mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), a.v); }
  friend simd fma(simd a, simd b, simd c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
  friend simd fnma(simd a, simd b, simd c) { return _mm512_fnmadd_ps(a.v, b.v, c.v); }
  friend simd add_to_exponent(simd p, simd shifted) {
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(p.v), _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23)));
  }
  friend simd exponent(simd x) { return _mm512_getexp_ps(x.v); }
  friend simd mantissa(simd x) { return _mm512_getmant_ps(x.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src); }
  friend simd keep(mask m, simd x) { return _mm512_maskz_mov_ps(m.v, x.v); }
  friend simd negative_where(mask m, simd x) { return _mm512_mask_or_ps(x.v, m.v, x.v, _mm512_set1_ps(-0.0f)); }
};
#endif  // AVX-512

SPLAT_END
#endif  // x86
