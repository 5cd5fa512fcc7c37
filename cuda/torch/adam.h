// The arguments of splat::adam, checked: the same for every device.
#pragma once

#include <cmath>

#include "splat/ops/adam.h"
#include "torch/tensors.h"

namespace splat {

/// The tensor's own memory: this op writes into it, so a copy would not do.
inline float* in_place(const Tensor& tensor, const char* name, const Tensor& like) {
  STD_TORCH_CHECK(tensor.is_contiguous(), name, " must be contiguous");
  const auto sizes = like.sizes();
  return mutable_floats(checked(tensor, name, {sizes.begin(), sizes.end()}));
}

struct AdamArguments {
  AdamStep step;
  std::vector<AdamParams> tensors;         // rates point into `rates`, period as given
  std::vector<float> rates;                // already over 1 - beta1^n
  std::vector<Tensor> contiguous_grads;    // keeps copies alive

  AdamArguments(const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
                const std::vector<Tensor>& exp_avgs, const std::vector<Tensor>& exp_avg_sqs,
                const std::vector<double>& all_rates, const std::vector<int64_t>& periods, int64_t step_number,
                double beta1, double beta2, double eps) {
    const size_t count = params.size();
    STD_TORCH_CHECK(grads.size() == count && exp_avgs.size() == count && exp_avg_sqs.size() == count &&
                        periods.size() == count,
                    "grads, exp_avgs, exp_avg_sqs and periods must be as many as params, which are ", count);
    STD_TORCH_CHECK(step_number >= 1, "step must be >= 1, got ", step_number);
    const double n = static_cast<double>(step_number);
    step = {static_cast<float>(beta1),
            static_cast<float>(beta2),
            static_cast<float>(1 - beta1),
            static_cast<float>(1 - beta2),
            static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, n))),
            static_cast<float>(eps)};
    const double rate_scale = 1 / (1 - std::pow(beta1, n));
    for (const double rate : all_rates) rates.push_back(static_cast<float>(rate * rate_scale));
    size_t next_rate = 0;
    for (size_t t = 0; t < count; ++t) {
      AdamParams a;
      const auto sizes = params[t].sizes();
      a.param = in_place(params[t], "params", params[t]);
      contiguous_grads.push_back(checked(grads[t], "grads", {sizes.begin(), sizes.end()}));
      a.grad = floats(contiguous_grads.back());
      a.exp_avg = in_place(exp_avgs[t], "exp_avgs", params[t]);
      a.exp_avg_sq = in_place(exp_avg_sqs[t], "exp_avg_sqs", params[t]);
      a.count = params[t].numel();
      a.period = periods[t];
      STD_TORCH_CHECK(a.period >= 1 && a.count % a.period == 0, "periods must divide the tensors' sizes, got ",
                      a.period, " for ", a.count, " elements");
      STD_TORCH_CHECK(next_rate + a.period <= rates.size(), "rates must hold the sum of periods numbers");
      a.rates = rates.data() + next_rate;
      next_rate += a.period;
      tensors.push_back(a);
    }
    STD_TORCH_CHECK(next_rate == rates.size(), "rates must hold the sum of periods numbers");
  }
};

}  // namespace splat
