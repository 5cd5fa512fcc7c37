// exp for float and simd<float, W>: one polynomial, so that every lane shape takes the same steps.
#pragma once

#include "splat/macros.h"
#include "splat/scalar.h"

SPLAT_BEGIN

/// e^x, relative error <= 3e-7 for x in [-87, 88]; x is clamped to that range, and NaN gives e^-87.
/// x = n ln 2 + r with integer n and |r| <= ln(2)/2; ln 2 is split in two so that r loses nothing (Cody and Waite).
/// e^r is a degree-5 minimax polynomial (9e-8), and n is added to its exponent.
template <class T>
SPLAT_HD T exp(T x) {
  x = min(max(x, T(-87.0f)), T(88.0f));
  const T magic(12582912.0f);  // 1.5 * 2^23: a sum with it has no bits left for a fraction
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

SPLAT_END
