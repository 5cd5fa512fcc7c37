// The arguments of splat::blend and its gradient, checked: the same for every device.
#pragma once

#include <optional>

#include "splat/ops/blend.h"
#include "torch/tensors.h"

namespace splat {

/// The tensors that forward and backward share, checked and made contiguous.
struct BlendArguments {
  Tensor means2d, conics, opacities, colours, offsets, gaussian_ids;
  std::optional<Tensor> background;
  int64_t cameras, per_camera, channels, width, height, tiles, instances;

  BlendArguments(const Tensor& means2d_in, const Tensor& conics_in, const Tensor& opacities_in,
                 const Tensor& colours_in, const std::optional<Tensor>& background_in, const Tensor& offsets_in,
                 const Tensor& ids_in, int64_t width_in, int64_t height_in)
      : means2d(checked(means2d_in, "means2d", {-1, -1, 2})),
        conics(checked(conics_in, "conics", {means2d.size(0), means2d.size(1), 3})),
        opacities(checked(opacities_in, "opacities", {means2d.size(0), means2d.size(1)})),
        colours(checked(colours_in, "colours", {means2d.size(0), means2d.size(1), -1})),
        offsets(checked(offsets_in, "offsets", ScalarType::Long, {-1})),
        gaussian_ids(checked(ids_in, "gaussian_ids", ScalarType::Int, {-1})),
        cameras(means2d.size(0)),
        per_camera(means2d.size(1)),
        channels(colours.size(2)),
        width(width_in),
        height(height_in),
        instances(gaussian_ids.size(0)) {
    STD_TORCH_CHECK(width > 0 && height > 0, "width and height must be > 0, got ", width, " x ", height);
    if (background_in) background = checked(*background_in, "background", {cameras, channels});
    tiles = cameras * tiles_x() * tiles_y();
    STD_TORCH_CHECK(offsets.size(0) == tiles + 1, "offsets must be [", tiles + 1, "] for ", cameras, " images of ",
                    width, " x ", height, ", got [", offsets.size(0), "]");
  }

  int64_t tiles_x() const { return (width + kTile - 1) / kTile; }
  int64_t tiles_y() const { return (height + kTile - 1) / kTile; }

  BlendInputs inputs() const {
    return {floats(means2d),
            floats(conics),
            floats(opacities),
            floats(colours),
            background ? floats(*background) : nullptr,
            offsets.const_data_ptr<int64_t>(),
            gaussian_ids.const_data_ptr<int32_t>(),
            static_cast<int>(channels),
            static_cast<int>(width),
            static_cast<int>(height),
            static_cast<int>(tiles_x()),
            static_cast<int>(tiles_y())};
  }
};

}  // namespace splat
