// Adam over a list of tensors, in place.
#pragma once

#include <stdint.h>

#include "splat/math/adam.h"
#include "splat/stream.h"

namespace splat {

/// One tensor of `count` numbers. The learning rate of element i is rates[i % period].
struct AdamParams {
  float* param = nullptr;        // [count]
  const float* grad = nullptr;   // [count]
  float* exp_avg = nullptr;      // [count]
  float* exp_avg_sq = nullptr;   // [count]
  const float* rates = nullptr;  // [period] on the host, already over 1 - beta1^n
  int64_t period = 0;
  int64_t count = 0;
};

struct AdamKernels {
  /// Updates the elements [begin, end); begin is a multiple of the period, and the period of 16.
  void (*update)(const AdamParams&, const AdamStep&, int64_t begin, int64_t end);
};

/// More rates than this a GPU kernel is not handed.
constexpr int64_t kAdamRatesMax = 128;

/// Updates all elements, on the GPU.
void adam_on_gpu(const AdamParams&, const AdamStep&, Stream);

}  // namespace splat
