// splat::tremor on the GPU.
#include "torch/tremor.h"

#include "torch/gpu/device.h"

namespace {

void run(const splat::TremorParams& params, const splat::Tensor& like) {
  const splat::OnDevice device(like);
  splat::tremor_on_gpu(params, device.stream);
}

}  // namespace

SPLAT_GPU_OPS(m) { m.impl("tremor", TORCH_BOX(&splat::tremor<run>)); }
