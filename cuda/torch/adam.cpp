// splat::adam: one optimiser step over all parameter tensors in one call.
#include "splat/ops/adam.h"

#include <algorithm>
#include <cmath>

#include "cpu/dispatch.h"
#include "torch/tensors.h"

SPLAT_DISPATCH(AdamKernels, adam_kernels)

namespace {

using splat::AdamParams;
using splat::AdamStep;
using splat::Tensor;

constexpr int64_t kLanes = 16;            // no instruction set has more
constexpr int64_t kChunk = 16384;         // elements a task updates, about: half a megabyte of traffic

int64_t rounded_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// The tensor's own memory: this op writes into it, so a copy would not do.
float* in_place(const Tensor& tensor, const char* name, const Tensor& like) {
  STD_TORCH_CHECK(tensor.is_contiguous(), name, " must be contiguous");
  const auto sizes = like.sizes();
  return splat::mutable_floats(splat::checked(tensor, name, {sizes.begin(), sizes.end()}));
}

void adam(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<Tensor> exp_avgs,
          std::vector<Tensor> exp_avg_sqs, std::vector<double> rates, std::vector<int64_t> periods, int64_t step_number,
          double beta1, double beta2, double eps) {
  const size_t count = params.size();
  STD_TORCH_CHECK(grads.size() == count && exp_avgs.size() == count && exp_avg_sqs.size() == count &&
                      periods.size() == count,
                  "grads, exp_avgs, exp_avg_sqs and periods must be as many as params, which are ", count);
  STD_TORCH_CHECK(step_number >= 1, "step must be >= 1, got ", step_number);
  const double n = static_cast<double>(step_number);
  const AdamStep step{static_cast<float>(beta1),
                      static_cast<float>(beta2),
                      static_cast<float>(1 - beta1),
                      static_cast<float>(1 - beta2),
                      static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, n))),
                      static_cast<float>(eps)};
  const double rate_scale = 1 / (1 - std::pow(beta1, n));

  std::vector<AdamParams> tensors(count);
  std::vector<Tensor> contiguous_grads;       // keeps copies alive
  std::vector<std::vector<float>> patterns(count);
  std::vector<int64_t> chunk_sizes(count), chunk_ends(count);
  size_t next_rate = 0;
  int64_t chunks = 0;
  for (size_t t = 0; t < count; ++t) {
    AdamParams& a = tensors[t];
    const auto sizes = params[t].sizes();
    a.param = in_place(params[t], "params", params[t]);
    contiguous_grads.push_back(splat::checked(grads[t], "grads", {sizes.begin(), sizes.end()}));
    a.grad = splat::floats(contiguous_grads.back());
    a.exp_avg = in_place(exp_avgs[t], "exp_avgs", params[t]);
    a.exp_avg_sq = in_place(exp_avg_sqs[t], "exp_avg_sqs", params[t]);
    a.count = params[t].numel();
    const int64_t period = periods[t];
    STD_TORCH_CHECK(period >= 1 && a.count % period == 0, "periods must divide the tensors' sizes, got ", period,
                    " for ", a.count, " elements");
    STD_TORCH_CHECK(next_rate + period <= rates.size(), "rates must hold the sum of periods numbers");
    // Repeated until it is a whole number of vectors, and long enough not to be a loop of one round.
    a.period = period * kLanes * std::max<int64_t>(1, 512 / (period * kLanes));
    patterns[t].resize(a.period);
    for (int64_t i = 0; i < a.period; ++i) {
      patterns[t][i] = static_cast<float>(rates[next_rate + i % period] * rate_scale);
    }
    a.rates = patterns[t].data();
    next_rate += period;
    chunk_sizes[t] = rounded_up(kChunk, a.period);
    chunks += (a.count + chunk_sizes[t] - 1) / chunk_sizes[t];
    chunk_ends[t] = chunks;
  }
  STD_TORCH_CHECK(next_rate == rates.size(), "rates must hold the sum of periods numbers");

  const splat::AdamKernels kernels = splat::adam_kernels();
  torch::stable::parallel_for(0, chunks, 2, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const size_t t = std::upper_bound(chunk_ends.begin(), chunk_ends.end(), chunk) - chunk_ends.begin();
      const int64_t first = (chunk - (t ? chunk_ends[t - 1] : 0)) * chunk_sizes[t];
      kernels.update(tensors[t], step, first, std::min(first + chunk_sizes[t], tensors[t].count));
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(splat, m) {
  // rates holds, for each tensor in turn, periods[t] learning rates that repeat along its elements.
  m.def(
      "adam(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, float[] rates, "
      "int[] periods, int step, float beta1, float beta2, float eps) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) { m.impl("adam", TORCH_BOX(&adam)); }
