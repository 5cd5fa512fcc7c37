// Adam: one pass over parameters, gradients and both moments, bound by memory. Elements are independent, so any
// division into ranges gives the same bits.
#include "splat/ops/adam.h"
#include "splat/simd.h"

SPLAT_BEGIN
namespace {

using V = simd_float;

void adam_vector(float* param, const float* grad, float* exp_avg, float* exp_avg_sq, const float* rates,
                 const AdamStep& step) {
  V p = V::load(param), m = V::load(exp_avg), v = V::load(exp_avg_sq);
  adam(p, V::load(grad), m, v, V::load(rates), step);
  p.store(param);
  m.store(exp_avg);
  v.store(exp_avg_sq);
}

/// Fewer elements than lanes, so that the last ones see the same instructions as all others.
void adam_tail(const AdamParams& a, const AdamStep& step, int64_t begin, int64_t count, const float* rates) {
  float lanes[4][V::width] = {};
  for (int64_t i = 0; i < count; ++i) {
    lanes[0][i] = a.param[begin + i];
    lanes[1][i] = a.grad[begin + i];
    lanes[2][i] = a.exp_avg[begin + i];
    lanes[3][i] = a.exp_avg_sq[begin + i];
  }
  adam_vector(lanes[0], lanes[1], lanes[2], lanes[3], rates, step);
  for (int64_t i = 0; i < count; ++i) {
    a.param[begin + i] = lanes[0][i];
    a.exp_avg[begin + i] = lanes[2][i];
    a.exp_avg_sq[begin + i] = lanes[3][i];
  }
}

void update(const AdamParams& a, const AdamStep& step, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += a.period) {
    const int64_t count = end - first < a.period ? end - first : a.period;
    int64_t j = 0;
    for (; j + V::width <= count; j += V::width) {
      const int64_t i = first + j;
      adam_vector(a.param + i, a.grad + i, a.exp_avg + i, a.exp_avg_sq + i, a.rates + j, step);
    }
    if (j < count) adam_tail(a, step, first + j, count - j, a.rates + j);
  }
}

}  // namespace

AdamKernels adam_kernels() { return {update}; }

SPLAT_END
