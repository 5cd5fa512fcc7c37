// Opacities and scales of copies: one Gaussian after another, since few are copied, and each takes as many terms as
// there are of it.
#include "splat/math/share.h"
#include "splat/ops/share.h"

SPLAT_BEGIN
namespace {

void shares(const ShareParams& a, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const Share found = share(a.opacities[i], a.copies[i]);
    a.shared[i] = static_cast<float>(found.opacity);
    a.shrinks[i] = static_cast<float>(found.shrink);
  }
}

}  // namespace

ShareKernel share_kernel() { return shares; }

SPLAT_END
