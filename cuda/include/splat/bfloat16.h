// bfloat16: the upper half of a float, so its range and 8 of its 24 significant bits.
//
// Numbers that are moved by less than half of their last place at every step would never move if each step rounded to
// the nearest. They are rounded at random instead: up with the probability that makes the expectation exact.
// Source: Gupta et al., "Deep learning with limited numerical precision", 2015, section 3 (stochastic rounding).
#pragma once

#include <stdint.h>
#include <string.h>

#include "splat/random.h"

namespace splat {

struct bfloat16 {
  uint16_t bits;
};

/// From the random number of one element to that of the next: the golden ratio's fraction, by which neighbours, and
/// the lanes of a vector, are spread evenly over all numbers.
constexpr uint32_t kRandomStride = 0x9e3779b9u;
/// From a parameter's random numbers to those of its first moment, and on to those of the second.
constexpr uint32_t kRandomOfMoment = 0x55555555u;

}  // namespace splat

SPLAT_BEGIN

SPLAT_HD float widen(float number) { return number; }
SPLAT_HD float widen(bfloat16 number) {
  const uint32_t bits = static_cast<uint32_t>(number.bits) << 16;
  float result;
  memcpy(&result, &bits, sizeof(result));
  return result;
}

/// One of the two neighbours of a number, chosen by the upper half of `random`. NaN stays NaN.
SPLAT_HD bfloat16 round_at_random(float number, uint32_t random) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof(bits));
  const uint32_t share = number == number ? random >> 16 : 0;
  return {static_cast<uint16_t>((bits + share) >> 16)};
}

SPLAT_END
