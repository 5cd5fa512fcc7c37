// splat::share on the GPU.
#include "torch/share.h"

#include "torch/gpu/device.h"

namespace {

void run(const splat::ShareParams& params, const splat::Tensor& like) {
  const splat::OnDevice device(like);
  splat::share_on_gpu(params, device.stream);
}

}  // namespace

SPLAT_GPU_OPS(m) { m.impl("share", TORCH_BOX(&splat::share<run>)); }
