// splat::adam on the GPU: one kernel a tensor.
#include "torch/adam.h"

#include "torch/gpu/device.h"

namespace {

using splat::Tensor;

void adam(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<Tensor> exp_avgs,
          std::vector<Tensor> exp_avg_sqs, std::vector<double> rates, std::vector<int64_t> periods, int64_t step_number,
          double beta1, double beta2, double eps) {
  if (params.empty()) return;
  const splat::OnDevice device(params[0]);
  const splat::AdamArguments arguments(params, grads, exp_avgs, exp_avg_sqs, rates, periods, step_number, beta1, beta2,
                                       eps);
  for (const splat::AdamParams& tensor : arguments.tensors) {
    STD_TORCH_CHECK(tensor.period <= splat::kAdamRatesMax, "at most ", splat::kAdamRatesMax,
                    " rates a tensor on a GPU, got ", tensor.period);
    splat::adam_on_gpu(tensor, arguments.step, device.stream);
  }
}

}  // namespace

SPLAT_GPU_OPS(m) { m.impl("adam", TORCH_BOX(&adam)); }
