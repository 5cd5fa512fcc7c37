// Opacities and scales of copies: one thread a Gaussian.
#include "gpu/device.h"
#include "splat/math/share.h"
#include "splat/ops/share.h"

SPLAT_BEGIN
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) shares(ShareParams a) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.count) return;
  const Share found = share(a.opacities[i], a.copies[i]);
  a.shared[i] = static_cast<float>(found.opacity);
  a.shrinks[i] = static_cast<float>(found.shrink);
}

}  // namespace
SPLAT_END

namespace splat {

void share_on_gpu(const ShareParams& a, Stream stream) {
  launch(shares, blocks_for(a.count, kThreads), kThreads, stream, a);
}

}  // namespace splat
