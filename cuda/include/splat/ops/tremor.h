// Noise on the centres of N Gaussians.
#pragma once

#include <stdint.h>

#include "splat/math/tremor.h"
#include "splat/stream.h"

namespace splat {

struct TremorParams {
  const float* quats = nullptr;           // [N, 4] wxyz
  const float* log_scales = nullptr;      // [N, 3]
  const float* opacity_logits = nullptr;  // [N]
  float* offsets = nullptr;               // [N, 3]
  int64_t count = 0;                      // N
  uint32_t seed = 0;
  Tremor tremor = {};
};

/// Gaussians of one call of the kernel on the CPU, at most; a multiple of any number of lanes.
constexpr int64_t kTremorBlock = 128;

/// Writes the offsets [begin, end).
using TremorKernel = void (*)(const TremorParams&, int64_t begin, int64_t end);

/// Writes all offsets, on the GPU.
void tremor_on_gpu(const TremorParams&, Stream);

}  // namespace splat
