// splat::adam: one optimiser step over all parameter tensors in one call.
#include "torch/adam.h"

#include <algorithm>

#include "cpu/dispatch.h"

SPLAT_DISPATCH(AdamKernels, adam_kernels)

namespace {

using splat::AdamParams;
using splat::Tensor;

constexpr int64_t kLanes = 16;            // no instruction set has more
constexpr int64_t kChunk = 16384;         // elements a task updates, about: half a megabyte of traffic

int64_t rounded_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

void adam(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<Tensor> exp_avgs,
          std::vector<Tensor> exp_avg_sqs, std::vector<double> rates, std::vector<int64_t> periods, int64_t step_number,
          double beta1, double beta2, double eps) {
  splat::AdamArguments arguments(params, grads, exp_avgs, exp_avg_sqs, rates, periods, step_number, beta1, beta2, eps);
  const size_t count = arguments.tensors.size();
  std::vector<std::vector<float>> patterns(count);
  std::vector<int64_t> chunk_sizes(count), chunk_ends(count);
  int64_t chunks = 0;
  for (size_t t = 0; t < count; ++t) {
    AdamParams& a = arguments.tensors[t];
    // The rates, repeated until they are a whole number of vectors, and long enough not to be a loop of one round.
    const int64_t once = a.period;
    a.period = once * kLanes * std::max<int64_t>(1, 512 / (once * kLanes));
    patterns[t].resize(a.period);
    for (int64_t i = 0; i < a.period; ++i) patterns[t][i] = a.rates[i % once];
    a.rates = patterns[t].data();
    chunk_sizes[t] = rounded_up(kChunk, a.period);
    chunks += (a.count + chunk_sizes[t] - 1) / chunk_sizes[t];
    chunk_ends[t] = chunks;
  }
  const splat::AdamKernels kernels = splat::adam_kernels();
  torch::stable::parallel_for(0, chunks, 2, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const size_t t = std::upper_bound(chunk_ends.begin(), chunk_ends.end(), chunk) - chunk_ends.begin();
      const AdamParams& a = arguments.tensors[t];
      const int64_t first = (chunk - (t ? chunk_ends[t - 1] : 0)) * chunk_sizes[t];
      kernels.update(a, arguments.step, first, std::min(first + chunk_sizes[t], a.count));
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) { m.impl("adam", TORCH_BOX(&adam)); }
