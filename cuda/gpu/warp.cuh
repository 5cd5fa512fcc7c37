// Sums over a warp.
#pragma once

#include "gpu/device.h"

SPLAT_BEGIN
namespace {

/// The sum of all lanes' values, in every lane; by pairs, always the same ones.
__device__ __forceinline__ float warp_sum(float value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kWholeWarp, value, step);
  return value;
}

}  // namespace
SPLAT_END
