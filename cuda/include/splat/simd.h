// simd<T, W>: W lanes of T with the vocabulary of scalar.h, so that the templates in math/ run on vectors.
//
// Float vectors of 4, 8 and 16 lanes on x86 and of 4 lanes on 64-bit ARM are intrinsics (simd_x86.h, simd_neon.h).
// Everything else (other CPUs, double) is the compiler's own vector type, which gcc and clang have. simd_float is the
// widest one of the instruction set being compiled for.
// A comparison gives simd<T, W>::mask; combine masks with & | ! and use them in select(mask, a, b).
#pragma once

#include "splat/macros.h"
#include "splat/scalar.h"

SPLAT_BEGIN

#if defined(__GNUC__)
namespace detail {
template <int BYTES> struct signed_integer;
template <> struct signed_integer<4> { using type = int32_t; };
template <> struct signed_integer<8> { using type = int64_t; };
}  // namespace detail

/// One all-ones or all-zeros integer a lane.
template <class T, int W>
struct simd_mask {
  typedef typename detail::signed_integer<sizeof(T)>::type native __attribute__((vector_size(W * sizeof(T))));
  native v;

  friend simd_mask operator&(simd_mask a, simd_mask b) { return {a.v & b.v}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {a.v | b.v}; }
  friend simd_mask operator!(simd_mask a) { return {~a.v}; }
  /// Bit i is lane i.
  uint32_t bits() const {
    uint32_t result = 0;
    for (int i = 0; i < W; ++i) result |= (v[i] ? 1u : 0u) << i;
    return result;
  }
};

template <class T, int W>
struct simd {
  static constexpr int width = W;
  using mask = simd_mask<T, W>;
  typedef T native __attribute__((vector_size(W * sizeof(T))));
  native v;

  simd() = default;
  simd(T value) : v(value - native{}) {}
  /// Not a constructor: gcc takes `native` for T until the template is instantiated, and the two would clash.
  static simd of(native value) {
    simd result;
    result.v = value;
    return result;
  }
  static simd load(const T* p) {
    simd result;
    memcpy(&result.v, p, sizeof(native));
    return result;
  }
  void store(T* p) const { memcpy(p, &v, sizeof(native)); }
  static simd gather(const T* base, const int32_t* indices) {
    simd result;
    for (int i = 0; i < W; ++i) result.v[i] = base[indices[i]];
    return result;
  }

  friend simd operator+(simd a, simd b) { return of(a.v + b.v); }
  friend simd operator-(simd a, simd b) { return of(a.v - b.v); }
  friend simd operator*(simd a, simd b) { return of(a.v * b.v); }
  friend simd operator/(simd a, simd b) { return of(a.v / b.v); }
  friend simd operator-(simd a) { return of(-a.v); }
  friend mask operator<(simd a, simd b) { return {a.v < b.v}; }
  friend mask operator<=(simd a, simd b) { return {a.v <= b.v}; }
  friend mask operator>(simd a, simd b) { return {a.v > b.v}; }
  friend mask operator>=(simd a, simd b) { return {a.v >= b.v}; }
  friend mask operator==(simd a, simd b) { return {a.v == b.v}; }
  friend simd select(mask m, simd a, simd b) { return of(m.v ? a.v : b.v); }
  friend simd min(simd a, simd b) { return of(a.v < b.v ? a.v : b.v); }
  friend simd max(simd a, simd b) { return of(a.v > b.v ? a.v : b.v); }
  friend simd abs(simd a) { return max(a, -a); }
  friend simd sqrt(simd a) {
    for (int i = 0; i < W; ++i) a.v[i] = sqrt(a.v[i]);
    return a;
  }
  friend simd fma(simd a, simd b, simd c) {
    for (int i = 0; i < W; ++i) c.v[i] = fma(a.v[i], b.v[i], c.v[i]);
    return c;
  }
  friend simd fnma(simd a, simd b, simd c) { return fma(-a, b, c); }
  friend simd add_to_exponent(simd p, simd shifted) {
    typedef typename mask::native integer;
    integer bits, n;
    memcpy(&bits, &p.v, sizeof(bits));
    memcpy(&n, &shifted.v, sizeof(n));
    bits += n << 23;
    memcpy(&p.v, &bits, sizeof(bits));
    return p;
  }
  friend simd exponent(simd x) {
    for (int i = 0; i < W; ++i) x.v[i] = exponent(x.v[i]);
    return x;
  }
  friend simd mantissa(simd x) {
    for (int i = 0; i < W; ++i) x.v[i] = mantissa(x.v[i]);
    return x;
  }
  friend simd keep(mask m, simd x) { return of(m.v ? x.v : native{}); }
  friend simd negative_where(mask m, simd x) { return of(m.v ? -abs(x).v : x.v); }
};
#else
template <class T, int W> struct simd_mask;
template <class T, int W> struct simd;
#endif

SPLAT_END

#include "splat/simd_neon.h"
#include "splat/simd_x86.h"

SPLAT_BEGIN

#if defined(__AVX512F__)
constexpr int kSimdWidth = 16;
#elif defined(__AVX2__)
constexpr int kSimdWidth = 8;
#else
constexpr int kSimdWidth = 4;
#endif
using simd_float = simd<float, kSimdWidth>;

template <class T, int W> inline simd<T, W>& operator+=(simd<T, W>& a, simd<T, W> b) { return a = a + b; }
template <class T, int W> inline simd<T, W>& operator-=(simd<T, W>& a, simd<T, W> b) { return a = a - b; }
template <class T, int W> inline simd<T, W>& operator*=(simd<T, W>& a, simd<T, W> b) { return a = a * b; }

template <class T, int W> inline bool any(simd_mask<T, W> m) { return m.bits() != 0; }
template <class T, int W> inline bool all(simd_mask<T, W> m) { return m.bits() == (1u << W) - 1; }

/// Asks for the cache line at an address that will be read soon; any address is allowed.
inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#elif defined(_M_X64)
  _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
#endif
}

/// The lane numbers 0, 1, ... W - 1.
template <class V>
inline V lane_numbers() {
  static const float numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return V::load(numbers);
}

/// Sum of all lanes, always in the same order: halves onto one another, as a balanced tree.
template <class T, int W>
inline T sum(simd<T, W> a) {
  T lanes[W];
  a.store(lanes);
  for (int half = W / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
#if defined(SPLAT_X86)
inline float sum(simd<float, 4> a) {
  const __m128 pairs = _mm_add_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
}
#if defined(__AVX2__)
inline float sum(simd<float, 8> a) {
  return sum(simd<float, 4>(_mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1))));
}
#endif
#if defined(__AVX512F__)
inline float sum(simd<float, 16> a) {
  return sum(simd<float, 8>(_mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1))));
}
#endif
#endif

SPLAT_END
