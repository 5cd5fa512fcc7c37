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

/// a b + c: rounded once where the hardware can, twice elsewhere (fmaf in software would cost a hundred times more).
#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
SPLAT_HD float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
SPLAT_HD double fma(double a, double b, double c) { return ::fma(a, b, c); }
#else
SPLAT_HD float fma(float a, float b, float c) { return a * b + c; }
SPLAT_HD double fma(double a, double b, double c) { return a * b + c; }
#endif

/// p 2^n, where n is the integer in the low bits of `shifted` = 1.5 * 2^23 + n. The result must be a normal number.
SPLAT_HD float add_to_exponent(float p, float shifted) {
  uint32_t bits, n;
  memcpy(&bits, &p, sizeof(bits));
  memcpy(&n, &shifted, sizeof(n));
  bits += n << 23;
  memcpy(&p, &bits, sizeof(p));
  return p;
}

SPLAT_END
