// One Adam step of one number.
// Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
#pragma once

#include "splat/exp.h"
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

/// What some steps without a gradient did to a number: factors of its moments, and how far it moved, in steps.
template <class T>
struct AdamPause {
  T exp_avg, exp_avg_sq, motion;
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

/// k steps without a gradient. Each makes the quotient of the moments smaller by r = b1 / sqrt(b2), so the motions are
/// a geometric series: r + r^2 + ... + r^k. Differs from the steps one by one: all are taken at the rate of the step
/// that catches up, which an exponential schedule changes little within the ten or so that count, and eps stays.
template <class T>
SPLAT_HD AdamPause<T> adam_pause(float log_beta1, float log_beta2, T k) {
  const float log_r = log_beta1 - 0.5f * log_beta2, r = exp(log_r);
  return {exp(k * T(log_beta1)), exp(k * T(log_beta2)), (T(1.0f) - exp(k * T(log_r))) * T(r / (1.0f - r))};
}

/// Catches up with a pause, before the step that ends it.
template <class T>
SPLAT_HD void catch_up(T& param, T& exp_avg, T& exp_avg_sq, T rate, const AdamStep& step,
                       const AdamPause<T>& pause) {
  const T quotient = exp_avg / fma(sqrt(exp_avg_sq), T(step.root_scale), T(step.eps));
  param = param - rate * pause.motion * quotient;
  exp_avg = exp_avg * pause.exp_avg;
  exp_avg_sq = exp_avg_sq * pause.exp_avg_sq;
}

SPLAT_END
