// splat::photometric_loss (with its gradient, ready for backward) and splat::ssim.
#include "splat/ops/photometric.h"

#include <memory>
#include <new>
#include <optional>
#include <tuple>

#include "cpu/dispatch.h"
#include "torch/tensors.h"

SPLAT_DISPATCH(PhotometricKernels, photometric_kernels)

namespace {

using splat::PhotometricParams;
using splat::ScalarType;
using splat::Tensor;

constexpr int64_t kRowsPerTask = 32;   // at least: starting a task costs up to 20 rows
constexpr size_t kCacheLine = 64;      // bytes

struct AlignedDelete {
  void operator()(float* p) const { ::operator delete[](p, std::align_val_t(kCacheLine)); }
};

/// What both ops read, and where their sums go.
struct Images {
  Tensor rendered, target;
  std::optional<Tensor> mask;
  PhotometricParams params;
  std::vector<double> ssim_sums, l1_sums;
  int64_t cameras = 0;

  Images(const Tensor& rendered_, const char* rendered_name, const Tensor& target_, const char* target_name)
      : rendered(splat::checked(rendered_, rendered_name, {-1, -1, -1, 3})), target(target_) {
    const auto sizes = rendered.sizes();
    const bool is_bytes = target.scalar_type() == ScalarType::Byte;
    target = splat::checked(target, target_name, is_bytes ? ScalarType::Byte : ScalarType::Float,
                            {sizes.begin(), sizes.end()});
    STD_TORCH_CHECK(rendered.numel() > 0, rendered_name, " must hold at least one pixel");
    cameras = sizes[0];
    params.rendered = splat::floats(rendered);
    if (is_bytes) {
      params.target_bytes = target.const_data_ptr<uint8_t>();
    } else {
      params.target = splat::floats(target);
    }
    params.height = sizes[1];
    params.row = sizes[2] * 3;
    const int64_t wanted = (params.row + splat::kStripMax - 1) / splat::kStripMax;
    params.strip = ((params.row + wanted - 1) / wanted + 15) / 16 * 16;
    params.strips = (params.row + params.strip - 1) / params.strip;
    ssim_sums.resize(cameras * params.strips * params.height);
    l1_sums.resize(ssim_sums.size());
    params.ssim_sums = ssim_sums.data();
    params.l1_sums = l1_sums.data();
  }

  void run() {
    const splat::PhotometricKernels kernels = splat::photometric_kernels();
    torch::stable::parallel_for(0, ssim_sums.size(), kRowsPerTask, [&](int64_t begin, int64_t end) {
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
  Images images(rendered, "rendered", target, "target");
  PhotometricParams& p = images.params;
  const double values = static_cast<double>(images.rendered.numel());
  double valid_values = values;
  if (mask) {
    images.mask = splat::checked(*mask, "mask", ScalarType::Byte, {images.cameras, p.height, p.row / 3});
    p.mask = images.mask->const_data_ptr<uint8_t>();
    int64_t valid = 0;
    for (int64_t i = 0, pixels = images.mask->numel(); i < pixels; ++i) valid += p.mask[i] != 0;
    valid_values = 3.0 * valid;
  }
  const double l1_weight = valid_values > 0 ? (1 - ssim_weight) / valid_values : 0;
  p.ssim_weight = static_cast<float>(-ssim_weight / values);
  p.l1_weight = static_cast<float>(l1_weight);
  Tensor gradient = needs_gradient ? splat::empty(images.rendered, {images.cameras, p.height, p.row / 3, 3})
                                   : splat::empty(images.rendered, {0});
  if (needs_gradient) p.gradient = splat::mutable_floats(gradient);
  images.run();
  const double l1 = sum(p.l1_sums, images.l1_sums.size()), ssim = sum(p.ssim_sums, images.ssim_sums.size());
  Tensor loss = splat::empty(images.rendered, {});
  *splat::mutable_floats(loss) = static_cast<float>(l1_weight * l1 + ssim_weight * (1 - ssim / values));
  return {loss, gradient};
}

Tensor ssim(Tensor a, Tensor b) {
  Images images(a, "a", b, "b");
  images.run();
  Tensor result = splat::empty(images.rendered, {images.cameras});
  const int64_t items = images.params.strips * images.params.height;
  const double values = static_cast<double>(images.params.height * images.params.row);
  for (int64_t c = 0; c < images.cameras; ++c) {
    splat::mutable_floats(result)[c] = static_cast<float>(sum(images.ssim_sums.data() + c * items, items) / values);
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) {
  m.impl("photometric_loss", TORCH_BOX(&photometric_loss));
  m.impl("ssim", TORCH_BOX(&ssim));
}
