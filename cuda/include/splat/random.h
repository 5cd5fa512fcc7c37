// Random numbers that come from nothing but counters, so that they are the same on every device and thread.
#pragma once

#include <stdint.h>

#include "splat/macros.h"

SPLAT_BEGIN

/// 32 bits for each step (or a step's seed) and row that look random.
/// Source: the finaliser of MurmurHash3 (Appleby, public domain), twice.
SPLAT_HD uint32_t row_random(uint32_t step, uint32_t row) {
  uint32_t hash = step;
  for (int round = 0; round < 2; ++round) {
    hash = (hash ^ (hash >> 16)) * 0x85ebca6bu;
    hash = (hash ^ (hash >> 13)) * 0xc2b2ae35u;
    hash ^= hash >> 16;
    if (round == 0) hash += row;
  }
  return hash;
}

/// A number of (0, 1), which never is either end: the middle of one of 2^23 equal parts.
SPLAT_HD float unit_interval(uint32_t random) {
  return (static_cast<float>(static_cast<int32_t>(random >> 9)) + 0.5f) * 0x1p-23f;
}

SPLAT_END
