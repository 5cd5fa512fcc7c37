// splat::photometric_loss (with its gradient, ready for backward) and splat::ssim.
#include "torch/photometric.h"

#include <memory>
#include <new>
#include <tuple>

#include "cpu/dispatch.h"

SPLAT_DISPATCH(PhotometricKernels, photometric_kernels)

namespace {

using splat::PhotometricParams;
using splat::Tensor;

constexpr int64_t kRowsPerTask = 32;   // at least: starting a task costs up to 20 rows
constexpr size_t kCacheLine = 64;      // bytes

struct AlignedDelete {
  void operator()(float* p) const { ::operator delete[](p, std::align_val_t(kCacheLine)); }
};

/// The images cut into strips, and where the sums of their rows go.
struct Strips {
  PhotometricParams params;
  std::vector<double> ssim_sums, l1_sums;

  explicit Strips(const splat::PhotometricImages& images) : params(splat::in_strips(images)) {
    ssim_sums.resize(params.items());
    l1_sums.resize(params.items());
    params.ssim_sums = ssim_sums.data();
    params.l1_sums = l1_sums.data();
  }

  void run() {
    const splat::PhotometricKernels kernels = splat::photometric_kernels();
    torch::stable::parallel_for(0, params.items(), kRowsPerTask, [&](int64_t begin, int64_t end) {
      const std::unique_ptr<float[], AlignedDelete> workspace(
          new (std::align_val_t(kCacheLine)) float[kernels.workspace_floats]);
      kernels.run(params, begin, end, workspace.get());
    });
  }
};

/// One after another, so that the result does not depend on the number of threads.
double sum(const double* values, int64_t count) {
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += values[i];
  return total;
}

std::tuple<Tensor, Tensor> photometric_loss(Tensor rendered, Tensor target, std::optional<Tensor> mask,
                                            double ssim_weight, bool needs_gradient) {
  splat::ImagePairs pairs(rendered, "rendered", target, "target", mask);
  Tensor gradient = pairs.make_gradient(needs_gradient);
  Strips strips(pairs.images);
  PhotometricParams& p = strips.params;
  const double values = static_cast<double>(pairs.rendered.numel());
  double valid_values = values;
  if (p.mask) {
    int64_t valid = 0;
    for (int64_t i = 0, pixels = pairs.mask->numel(); i < pixels; ++i) valid += p.mask[i] != 0;
    valid_values = 3.0 * valid;
  }
  const double l1_weight = valid_values > 0 ? (1 - ssim_weight) / valid_values : 0;
  p.ssim_weight = static_cast<float>(-ssim_weight / values);
  p.l1_weight = static_cast<float>(l1_weight);
  strips.run();
  const double l1 = sum(p.l1_sums, strips.l1_sums.size()), ssim = sum(p.ssim_sums, strips.ssim_sums.size());
  Tensor loss = splat::empty(pairs.rendered, {});
  *splat::mutable_floats(loss) = static_cast<float>(l1_weight * l1 + ssim_weight * (1 - ssim / values));
  return {loss, gradient};
}

Tensor ssim(Tensor a, Tensor b) {
  const splat::ImagePairs pairs(a, "a", b, "b");
  Strips strips(pairs.images);
  strips.run();
  const PhotometricParams& p = strips.params;
  Tensor result = splat::empty(pairs.rendered, {p.cameras});
  const int64_t items = p.strips * p.height;
  const double values = static_cast<double>(p.height * p.row);
  for (int64_t c = 0; c < p.cameras; ++c) {
    splat::mutable_floats(result)[c] = static_cast<float>(sum(p.ssim_sums + c * items, items) / values);
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) {
  m.impl("photometric_loss", TORCH_BOX(&photometric_loss));
  m.impl("ssim", TORCH_BOX(&ssim));
}
