// The arguments of splat::adam, checked: the same for every device.
#pragma once

#include <cmath>

#include "splat/ops/adam.h"
#include "torch/tensors.h"

namespace splat {

/// The tensor's own memory: this op writes into it, so a copy would not do.
inline float* in_place(const Tensor& tensor, const char* name, std::vector<int64_t> shape) {
  STD_TORCH_CHECK(tensor.is_contiguous(), name, " must be contiguous");
  return mutable_floats(checked(tensor, name, std::move(shape)));
}

/// What the numbers of one step have in common; the first step's number is 1.
inline AdamStep adam_step(int64_t number, double beta1, double beta2, double eps) {
  STD_TORCH_CHECK(number >= 1 && number <= INT32_MAX, "step must be >= 1, got ", number);
  return {static_cast<float>(beta1),
          static_cast<float>(beta2),
          static_cast<float>(1 - beta1),
          static_cast<float>(1 - beta2),
          static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, static_cast<double>(number)))),
          static_cast<float>(eps)};
}

/// By which learning rates are multiplied.
inline double adam_rate_scale(int64_t number, double beta1) {
  return 1 / (1 - std::pow(beta1, static_cast<double>(number)));
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
    step = adam_step(step_number, beta1, beta2, eps);
    const double rate_scale = adam_rate_scale(step_number, beta1);
    for (const double rate : all_rates) rates.push_back(static_cast<float>(rate * rate_scale));
    size_t next_rate = 0;
    for (size_t t = 0; t < count; ++t) {
      AdamParams a;
      const std::vector<int64_t> shape(params[t].sizes().begin(), params[t].sizes().end());
      a.param = in_place(params[t], "params", shape);
      contiguous_grads.push_back(checked(grads[t], "grads", shape));
      a.grad = floats(contiguous_grads.back());
      a.exp_avg = in_place(exp_avgs[t], "exp_avgs", shape);
      a.exp_avg_sq = in_place(exp_avg_sqs[t], "exp_avg_sqs", shape);
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
