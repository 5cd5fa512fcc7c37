// Bits of masks, and of numbers.
#pragma once

#include "splat/macros.h"

#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

SPLAT_BEGIN

/// Index of the lowest set bit; the mask is not 0.
inline int lowest_bit(uint64_t mask) {
#if defined(_MSC_VER)
  unsigned long index;
  _BitScanForward64(&index, mask);
  return static_cast<int>(index);
#else
  return __builtin_ctzll(mask);
#endif
}

/// Number of set bits, by summing neighbours of 1, 2 and 4 bits: the baseline has no instruction for it.
inline int count_bits(uint64_t mask) {
  mask -= (mask >> 1) & 0x5555555555555555ull;
  mask = (mask & 0x3333333333333333ull) + ((mask >> 2) & 0x3333333333333333ull);
  mask = (mask + (mask >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return static_cast<int>((mask * 0x0101010101010101ull) >> 56);
}

/// Floats as integers of the same order.
SPLAT_HD uint32_t ordered_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

SPLAT_END
