// Adam over a list of tensors, in place.
#pragma once

#include <stdint.h>

#include "splat/math/adam.h"

namespace splat {

/// One tensor of `count` numbers. The learning rate of element i is rates[i % period].
struct AdamParams {
  float* param = nullptr;        // [count]
  const float* grad = nullptr;   // [count]
  float* exp_avg = nullptr;      // [count]
  float* exp_avg_sq = nullptr;   // [count]
  const float* rates = nullptr;  // [period], already over 1 - beta1^n; period is a multiple of 16
  int64_t period = 0;
  int64_t count = 0;
};

struct AdamKernels {
  /// Updates the elements [begin, end); begin is a multiple of the period.
  void (*update)(const AdamParams&, const AdamStep&, int64_t begin, int64_t end);
};

}  // namespace splat
