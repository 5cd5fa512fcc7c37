// exp and log for float and simd<float, W>: one polynomial each, so that every lane shape takes the same steps.
#pragma once

#include "splat/macros.h"
#include "splat/scalar.h"

SPLAT_BEGIN

/// e^x, relative error <= 3e-7, for x in [-87, 88]; anything may come out elsewhere.
/// x = n ln 2 + r with integer n and |r| <= ln(2)/2; ln 2 is split in two so that r loses nothing (Cody and Waite).
/// e^r is a degree-5 minimax polynomial (9e-8), and n is added to its exponent.
template <class T>
SPLAT_HD T exp_in_range(T x) {
  const T magic(kRoundingMagic);
  const T shifted = fma(x, T(1.44269504f), magic);
  const T n = shifted - magic;
  const T r = fma(n, T(2.12194440e-4f), fma(n, T(-0.693359375f), x));
  T p = fma(r, T(0.008290315046906471f), T(0.04189793020486832f));
  p = fma(p, r, T(0.1666763573884964f));
  p = fma(p, r, T(0.4999915063381195f));
  p = fma(p, r, T(0.9999997019767761f));
  p = fma(p, r, T(1.0f));
  return add_to_exponent(p, shifted);
}

/// e^-x, relative error <= 3e-7, for x in [0, 16]; anything may come out elsewhere.
/// As above with fewer steps, one after another above all: on this range ln 2 need not be split, and the polynomial is
/// evaluated as a tree (Estrin).
template <class T>
SPLAT_HD T exp_of_minus(T x) {
  const T magic(kRoundingMagic);
  const T shifted = fnma(x, T(1.44269504f), magic);
  const T n = shifted - magic;
  const T r = fma(n, T(0.693147181f), x);  // e^-x = 2^n e^-r
  const T r2 = r * r;
  const T high = fnma(r, T(0.008290315046906471f), T(0.04189793020486832f));
  const T middle = fnma(r, T(0.1666763573884964f), T(0.4999915063381195f));
  const T low = fnma(r, T(0.9999997019767761f), T(1.0f));
  return add_to_exponent(fma(r2, fma(r2, high, middle), low), shifted);
}

#if defined(__CUDA_ARCH__)
/// On a GPU a product and one instruction, with about the same error.
SPLAT_HD float exp_of_minus(float x) { return __expf(-x); }
#endif

/// e^x, relative error <= 3e-7; x is clamped to [-87, 88], and NaN gives e^-87.
template <class T>
SPLAT_HD T exp(T x) {
  return exp_in_range(min(max(x, T(-87.0f)), T(88.0f)));
}

/// ln x of a positive normal x, absolute error <= 3e-7 (1 + |ln x|); anything may come out elsewhere.
/// x = 2^e m with m in [sqrt(1/2), sqrt(2)), and ln m = 2 artanh(s), s = (m - 1)/(m + 1), by its power series.
template <class T>
SPLAT_HD T log(T x) {
  const auto large = mantissa(x) > T(1.41421356f);
  const T m = select(large, T(0.5f) * mantissa(x), mantissa(x));
  const T e = select(large, exponent(x) + T(1.0f), exponent(x));
  const T s = (m - T(1.0f)) / (m + T(1.0f));
  const T s2 = s * s;
  T p = fma(s2, T(2.0f / 7.0f), T(2.0f / 5.0f));
  p = fma(p, s2, T(2.0f / 3.0f));
  p = fma(p, s2, T(2.0f));
  return fma(e, T(0.693147181f), s * p);
}

SPLAT_END
