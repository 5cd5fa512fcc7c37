// splat::tremor.
#include "torch/tremor.h"

#include <algorithm>

#include "cpu/dispatch.h"

SPLAT_DISPATCH(TremorKernel, tremor_kernel)

namespace {

constexpr int64_t kBlocksPerTask = 16;  // at least: starting a task costs as much as a few

void run(const splat::TremorParams& params, const splat::Tensor&) {
  const splat::TremorKernel kernel = splat::tremor_kernel();
  const int64_t size = splat::kTremorBlock, blocks = (params.count + size - 1) / size;
  torch::stable::parallel_for(0, blocks, kBlocksPerTask, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      kernel(params, block * size, std::min((block + 1) * size, params.count));
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) { m.impl("tremor", TORCH_BOX(&splat::tremor<run>)); }
