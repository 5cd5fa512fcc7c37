// The vocabulary that the templates in math/ are written in, for plain float and double, on host and device.
// simd.h gives simd<float, W> the same functions, so that one formula serves a lane and a vector alike.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "splat/macros.h"

SPLAT_BEGIN

SPLAT_HD float select(bool mask, float a, float b) { return mask ? a : b; }
SPLAT_HD double select(bool mask, double a, double b) { return mask ? a : b; }
SPLAT_HD bool any(bool mask) { return mask; }
SPLAT_HD bool all(bool mask) { return mask; }

// min and max return the second argument where the first is NaN, as the x86 instructions do.
SPLAT_HD float min(float a, float b) { return a < b ? a : b; }
SPLAT_HD float max(float a, float b) { return a > b ? a : b; }
SPLAT_HD double min(double a, double b) { return a < b ? a : b; }
SPLAT_HD double max(double a, double b) { return a > b ? a : b; }

SPLAT_HD float sqrt(float a) { return ::sqrtf(a); }
SPLAT_HD double sqrt(double a) { return ::sqrt(a); }
SPLAT_HD float abs(float a) { return ::fabsf(a); }
SPLAT_HD double abs(double a) { return ::fabs(a); }

/// a b + c, and c - a b as fnma: rounded once where the hardware can, twice elsewhere (fmaf in software costs a
/// hundred times more).
#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
SPLAT_HD float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
SPLAT_HD double fma(double a, double b, double c) { return ::fma(a, b, c); }
#else
SPLAT_HD float fma(float a, float b, float c) { return a * b + c; }
SPLAT_HD double fma(double a, double b, double c) { return a * b + c; }
#endif
SPLAT_HD float fnma(float a, float b, float c) { return fma(-a, b, c); }
SPLAT_HD double fnma(double a, double b, double c) { return fma(-a, b, c); }

/// p 2^n, where n is the integer in the low bits of `shifted` = kRoundingMagic + n. The result must be a normal number.
SPLAT_HD float add_to_exponent(float p, float shifted) {
  uint32_t bits, n;
  memcpy(&bits, &p, sizeof(bits));
  memcpy(&n, &shifted, sizeof(n));
  bits += n << 23;
  memcpy(&p, &bits, sizeof(p));
  return p;
}

/// 1.5 * 2^23: a sum of it and a smaller number has no bits for a fraction, and ends in the nearest integer's bits.
constexpr float kRoundingMagic = 12582912.0f;

/// The nearest integer of |x| < 2^22, ties to even.
template <class T>
SPLAT_HD T nearest(T x) {
  return (x + T(kRoundingMagic)) - T(kRoundingMagic);
}

/// x = mantissa(x) 2^exponent(x), mantissa in [1, 2), for positive normal x.
SPLAT_HD float exponent(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return static_cast<float>(static_cast<int32_t>(bits >> 23) - 127);
}
SPLAT_HD float mantissa(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  bits = (bits & 0x007fffffu) | 0x3f800000u;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

/// x where the mask is set, 0 elsewhere.
SPLAT_HD float keep(bool mask, float x) { return mask ? x : 0.0f; }
/// -|x| where the mask is set, x elsewhere.
SPLAT_HD float negative_where(bool mask, float x) { return mask ? -abs(x) : x; }

SPLAT_END
