// One Adam step of one number.
// Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
#pragma once

#include "splat/macros.h"
#include "splat/scalar.h"

namespace splat {

// The moments of a Gaussian that no view sees decay into denormal numbers, which a CPU handles a hundred times slower.
// Below these bounds they become zero; a step they could still cause is far below a float's resolution.
constexpr float kExpAvgMin = 1e-30f, kExpAvgSqMin = 1e-36f;

/// What is the same for every element of one step, number n >= 1.
struct AdamStep {
  float beta1, beta2;                      // decay of the moments
  float one_minus_beta1, one_minus_beta2;  // rounded from double: 1 - 0.999f is off by 1e-5
  float root_scale;                        // 1 / sqrt(1 - beta2^n)
  float eps;                               // added to the root of the corrected second moment
};

}  // namespace splat

SPLAT_BEGIN

/// m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - rate m / (sqrt(v / (1 - b2^n)) + eps).
/// `rate` is the learning rate over (1 - b1^n).
template <class T>
SPLAT_HD void adam(T& param, T grad, T& exp_avg, T& exp_avg_sq, T rate, const AdamStep& step) {
  const T zero(0.0f);
  const T m = fma(T(step.beta1), exp_avg, T(step.one_minus_beta1) * grad);
  const T v = fma(T(step.beta2), exp_avg_sq, T(step.one_minus_beta2) * grad * grad);
  exp_avg = select(abs(m) < T(kExpAvgMin), zero, m);
  exp_avg_sq = select(v < T(kExpAvgSqMin), zero, v);
  param = param - rate * (exp_avg / fma(sqrt(exp_avg_sq), T(step.root_scale), T(step.eps)));
}

SPLAT_END
