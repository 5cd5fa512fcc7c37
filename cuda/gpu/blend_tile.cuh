// What forward and backward blending on the GPU share: where a tile and its subtiles lie. A subtile is the 8 x 4 pixels
// of one warp, a lane a pixel.
#pragma once

#include "gpu/device.h"
#include "splat/math/alpha.h"
#include "splat/ops/blend.h"

SPLAT_BEGIN
namespace {

constexpr int kTilePixels = kTile * kTile;
constexpr int kSubtileColumns = 8, kSubtileRows = 4, kSubtilesAcross = kTile / kSubtileColumns;
static_assert(kSubtileColumns * kSubtileRows == kGroup, "a subtile is one warp's");

/// A tile's place in the image.
struct TileFrame {
  int camera, left, top;  // px
};

SPLAT_HD TileFrame tile_frame(const BlendInputs& in, int tile) {
  const int per_camera = in.tiles_x * in.tiles_y, camera = tile / per_camera, within = tile - camera * per_camera;
  const int row = within / in.tiles_x;
  return {camera, (within - row * in.tiles_x) * kTile, row * kTile};
}

/// A pixel's column and row within its tile.
SPLAT_HD int subtile_left(int subtile) { return subtile % kSubtilesAcross * kSubtileColumns; }
SPLAT_HD int subtile_top(int subtile) { return subtile / kSubtilesAcross * kSubtileRows; }
SPLAT_HD int lane_column(int lane) { return lane % kSubtileColumns; }
SPLAT_HD int lane_row(int lane) { return lane / kSubtileColumns; }

/// Index in [C, H, W] of a pixel of a tile.
SPLAT_HD int64_t pixel_index(const BlendInputs& in, const TileFrame& frame, int column, int row) {
  return (static_cast<int64_t>(frame.camera) * in.height + frame.top + row) * in.width + frame.left + column;
}

SPLAT_HD bool is_in_image(const BlendInputs& in, const TileFrame& frame, int column, int row) {
  return frame.left + column < in.width && frame.top + row < in.height;
}

/// Number of a tile's first bucket.
SPLAT_HD int64_t first_bucket(const BlendTrail& trail, const int64_t* offsets, int tile) {
  return offsets[tile] / (trail.buckets.groups * kGroup) + tile;
}

/// A Gaussian with its mean relative to the tile's first pixel centre.
SPLAT_HD Splat2d<float> splat_in_tile(const BlendInputs& in, const TileFrame& frame, int64_t gaussian) {
  const float* conic = in.conics + 3 * gaussian;
  const float opacity = in.opacities[gaussian];
  return {in.means2d[2 * gaussian] - (static_cast<float>(frame.left) + 0.5f),
          in.means2d[2 * gaussian + 1] - (static_cast<float>(frame.top) + 0.5f),
          0.5f * conic[0],
          conic[1],
          0.5f * conic[2],
          opacity,
          sigma_limit(opacity)};
}

}  // namespace
SPLAT_END
