// The images of splat::photometric_loss and splat::ssim, checked: the same for every device.
#pragma once

#include <optional>

#include "splat/ops/photometric.h"
#include "torch/tensors.h"

namespace splat {

/// What both ops read.
struct ImagePairs {
  Tensor rendered, target;
  std::optional<Tensor> mask;
  PhotometricImages images;

  ImagePairs(const Tensor& rendered_in, const char* rendered_name, const Tensor& target_in, const char* target_name,
             const std::optional<Tensor>& mask_in = {})
      : rendered(checked(rendered_in, rendered_name, {-1, -1, -1, 3})), target(target_in) {
    const auto sizes = rendered.sizes();
    const bool is_bytes = target.scalar_type() == ScalarType::Byte;
    target = checked(target, target_name, is_bytes ? ScalarType::Byte : ScalarType::Float,
                     {sizes.begin(), sizes.end()});
    STD_TORCH_CHECK(rendered.numel() > 0, rendered_name, " must hold at least one pixel");
    images.rendered = floats(rendered);
    if (is_bytes) {
      images.target_bytes = target.const_data_ptr<uint8_t>();
    } else {
      images.target = floats(target);
    }
    if (mask_in) {
      mask = checked(*mask_in, "mask", ScalarType::Byte, {sizes[0], sizes[1], sizes[2]});
      images.mask = mask->const_data_ptr<uint8_t>();
    }
    images.cameras = sizes[0];
    images.height = sizes[1];
    images.row = sizes[2] * 3;
  }

  /// A tensor for the gradient, empty if it is not wanted.
  Tensor make_gradient(bool wanted) {
    if (!wanted) return empty(rendered, {0});
    Tensor gradient = empty(rendered, {images.cameras, images.height, images.row / 3, 3});
    images.gradient = mutable_floats(gradient);
    return gradient;
  }
};

}  // namespace splat
