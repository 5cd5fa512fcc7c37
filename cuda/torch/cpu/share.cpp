// splat::share.
#include "torch/share.h"

#include "cpu/dispatch.h"

SPLAT_DISPATCH(ShareKernel, share_kernel)

namespace {

constexpr int64_t kPerTask = 256;  // Gaussians, at least

void run(const splat::ShareParams& params, const splat::Tensor&) {
  const splat::ShareKernel kernel = splat::share_kernel();
  torch::stable::parallel_for(0, params.count, kPerTask,
                              [&](int64_t begin, int64_t end) { kernel(params, begin, end); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) { m.impl("share", TORCH_BOX(&splat::share<run>)); }
