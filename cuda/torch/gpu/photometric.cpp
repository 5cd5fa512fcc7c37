// splat::photometric_loss and splat::ssim on the GPU; nothing waits for it.
#include "torch/photometric.h"

#include <tuple>

#include "torch/gpu/device.h"

namespace {

using splat::PhotometricImages;
using splat::PhotometricSums;
using splat::Tensor;

Tensor sums_for(const splat::ImagePairs& pairs) {
  const int64_t blocks = pairs.images.cameras * splat::photometric_blocks(pairs.images);
  return splat::workspace(pairs.rendered, blocks * static_cast<int64_t>(sizeof(PhotometricSums)));
}

PhotometricSums* sums_in(const Tensor& memory) { return static_cast<PhotometricSums*>(memory.mutable_data_ptr()); }

std::tuple<Tensor, Tensor> photometric_loss(Tensor rendered, Tensor target, std::optional<Tensor> mask,
                                            double ssim_weight, bool needs_gradient) {
  splat::ImagePairs pairs(rendered, "rendered", target, "target", mask);
  const splat::OnDevice device(pairs.rendered);
  const Tensor gradient = pairs.make_gradient(needs_gradient);
  const PhotometricImages& images = pairs.images;
  const int64_t values = pairs.rendered.numel();

  // The maps are as large as three images.
  const Tensor maps = splat::empty(pairs.rendered, {needs_gradient ? 3 * values : 0});
  float* maps_or_null = needs_gradient ? splat::mutable_floats(maps) : nullptr;
  const Tensor sums = sums_for(pairs), loss = splat::empty(pairs.rendered, {});
  const Tensor l1_weight = splat::empty(pairs.rendered, {});
  splat::similarity_on_gpu(images, maps_or_null, sums_in(sums), device.stream);
  splat::photometric_loss_on_gpu(images, sums_in(sums), ssim_weight, splat::mutable_floats(loss),
                                 splat::mutable_floats(l1_weight), device.stream);
  if (needs_gradient) {
    splat::photometric_gradient_on_gpu(images, maps_or_null,
                                       static_cast<float>(-ssim_weight / static_cast<double>(values)),
                                       splat::floats(l1_weight), device.stream);
  }
  return {loss, gradient};
}

Tensor ssim(Tensor a, Tensor b) {
  const splat::ImagePairs pairs(a, "a", b, "b");
  const splat::OnDevice device(pairs.rendered);
  const Tensor sums = sums_for(pairs), result = splat::empty(pairs.rendered, {pairs.images.cameras});
  splat::similarity_on_gpu(pairs.images, nullptr, sums_in(sums), device.stream);
  splat::mean_ssim_on_gpu(pairs.images, sums_in(sums), splat::mutable_floats(result), device.stream);
  return result;
}

}  // namespace

SPLAT_GPU_OPS(m) {
  m.impl("photometric_loss", TORCH_BOX(&photometric_loss));
  m.impl("ssim", TORCH_BOX(&ssim));
}
