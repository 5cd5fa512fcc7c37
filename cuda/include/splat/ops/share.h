// Opacities and scales of M Gaussians that are doubled, each as often as asked.
#pragma once

#include <stdint.h>

#include "splat/stream.h"

namespace splat {

struct ShareParams {
  const float* opacities = nullptr;  // [M] in (0, 1]
  const int64_t* copies = nullptr;   // [M] at least 1
  float* shared = nullptr;           // [M] opacities
  float* shrinks = nullptr;          // [M] factors of the scales
  int64_t count = 0;                 // M
};

/// Writes the results [begin, end).
using ShareKernel = void (*)(const ShareParams&, int64_t begin, int64_t end);

/// Writes all results, on the GPU.
void share_on_gpu(const ShareParams&, Stream);

}  // namespace splat
