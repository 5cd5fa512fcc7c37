// The arguments of splat::tiles, checked: the same for every device.
#pragma once

#include <algorithm>
#include <limits>
#include <optional>

#include "splat/ops/tiles.h"
#include "torch/tensors.h"

namespace splat {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxImageTiles = 1 << 24;

struct TilesArguments {
  Tensor means2d, conics, depths, opacities, extents;
  int64_t count = 0;  // Gaussians of all cameras
  int64_t tiles = 0;  // of all images
  TilesParams params;

  TilesArguments(const Tensor& means2d_in, const Tensor& conics_in, const Tensor& depths_in, const Tensor& opacities_in,
                 const Tensor& extents_in, int64_t width, int64_t height, std::optional<int64_t> bound)
      : means2d(checked(means2d_in, "means2d", {-1, -1, 2})) {
    const int64_t cameras = means2d.size(0), per_camera = means2d.size(1);
    conics = checked(conics_in, "conics", {cameras, per_camera, 3});
    depths = checked(depths_in, "depths", {cameras, per_camera});
    opacities = checked(opacities_in, "opacities", {cameras, per_camera});
    extents = checked(extents_in, "extents", {cameras, per_camera, 2});
    STD_TORCH_CHECK(width > 0 && height > 0, "width and height must be > 0, got ", width, " x ", height);
    const int64_t tiles_x = (width + kTile - 1) / kTile, tiles_y = (height + kTile - 1) / kTile;
    // The kernels count the tiles of an image in floats.
    STD_TORCH_CHECK(tiles_x <= kMaxImageTiles / tiles_y &&
                        tiles_x * tiles_y <= kMaxInt32 / std::max<int64_t>(cameras, 1),
                    "too many tiles: ", cameras, " images of ", width, " x ", height,
                    " px; render fewer cameras at once or a smaller image");
    STD_TORCH_CHECK(!bound || (*bound >= 0 && *bound <= kMaxInt32), "bound must be in [0, 2^31), got ", *bound);
    count = cameras * per_camera;
    STD_TORCH_CHECK(count <= kMaxInt32, "too many Gaussians: ", cameras, " cameras x ", per_camera,
                    " must be below 2^31; render fewer cameras at once");
    tiles = cameras * tiles_x * tiles_y;
    params = {floats(means2d),          floats(conics),            floats(opacities),
              floats(extents),          per_camera,                static_cast<int>(width),
              static_cast<int>(height), static_cast<int>(tiles_x), static_cast<int>(tiles_y)};
  }
};

inline void check_instances(int64_t instances) {
  STD_TORCH_CHECK(instances <= kMaxInt32, "the Gaussians touch ", instances,
                  " tiles in all, which must be below 2^31; render fewer cameras at once or a smaller image");
}

}  // namespace splat
