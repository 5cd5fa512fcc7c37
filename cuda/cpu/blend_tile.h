// What forward and backward blending share: how a tile is cut into blocks of one vector each, and how its Gaussians are
// fetched. A block is 4 pixels wide and as high as the vector is long, so that small splats touch few of them.
#pragma once

#include "splat/bits.h"
#include "splat/math/alpha.h"
#include "splat/math/ellipse.h"
#include "splat/ops/blend.h"
#include "splat/simd.h"

SPLAT_BEGIN
namespace {

using V = simd_float;

constexpr int kTilePixels = kTile * kTile;
constexpr int kBlockColumns = 4;
constexpr int kBlockRows = V::width / kBlockColumns;
constexpr int kBlocksAcross = kTile / kBlockColumns;
constexpr int kBlocksDown = kTile / kBlockRows;
constexpr int kBlocks = kBlocksAcross * kBlocksDown;
static_assert(kBlocks <= 64, "a mask of blocks is one 64-bit word");

/// Where the pixels of a tile stand in memory: block after block, row by row within a block.
struct TileLayout {
  alignas(64) float x[kTilePixels], y[kTilePixels];  // column and row within the tile, px
  constexpr TileLayout() : x(), y() {
    for (int i = 0; i < kTilePixels; ++i) {
      const int block = i / V::width, lane = i % V::width;
      x[i] = static_cast<float>(block % kBlocksAcross * kBlockColumns + lane % kBlockColumns);
      y[i] = static_cast<float>(block / kBlocksAcross * kBlockRows + lane / kBlockColumns);
    }
  }
};
constexpr TileLayout kLayout;

/// A tile's place in the image.
struct TileFrame {
  int64_t camera, first_pixel;  // first_pixel: index of the tile's first pixel in [C, H, W]
  int left, top, columns, rows;  // px; the last tiles of a row or column may stick out of the image
  int image_width;

  TileFrame(const BlendInputs& in, int64_t tile) {
    const int64_t per_camera = static_cast<int64_t>(in.tiles_x) * in.tiles_y;
    camera = tile / per_camera;
    const int within = static_cast<int>(tile % per_camera);
    left = within % in.tiles_x * kTile;
    top = within / in.tiles_x * kTile;
    columns = in.width - left < kTile ? in.width - left : kTile;
    rows = in.height - top < kTile ? in.height - top : kTile;
    image_width = in.width;
    first_pixel = (camera * in.height + top) * in.width + left;
  }

  bool contains(int i) const { return kLayout.x[i] < columns && kLayout.y[i] < rows; }
  /// Index in [C, H, W] of the tile's i-th pixel.
  int64_t pixel(int i) const {
    return first_pixel + static_cast<int64_t>(kLayout.y[i]) * image_width + static_cast<int>(kLayout.x[i]);
  }
};

/// Gaussians of a tile, fetched a batch at a time into arrays that stay in the first-level cache.
struct Batch {
  static constexpr int kSize = 64;
  static_assert(kSize % V::width == 0, "the last vector of a batch is padded");
  // Means are relative to the tile's first pixel centre.
  alignas(64) float x[kSize], y[kSize], a[kSize], b[kSize], c[kSize], opacity[kSize], limit[kSize];
  const float* colour[kSize];
  int size;

  /// Fetches the instances [first, first + size), and asks for the memory of the batch after.
  void fetch(const BlendInputs& in, const TileFrame& frame, int64_t first, int64_t last) {
    size = static_cast<int>(last - first < kSize ? last - first : kSize);
    const float origin_x = frame.left + 0.5f, origin_y = frame.top + 0.5f;
    const int64_t ahead_end = last < first + 2 * kSize ? last : first + 2 * kSize;
    for (int64_t i = first + size; i < ahead_end; ++i) {
      const int64_t g = in.gaussian_ids[i];
      prefetch(in.means2d + 2 * g);
      prefetch(in.conics + 3 * g);
      prefetch(in.opacities + g);
      prefetch(in.colours + in.channels * g);
    }
    for (int i = 0; i < size; ++i) {
      const int64_t g = in.gaussian_ids[first + i];
      x[i] = in.means2d[2 * g] - origin_x;
      y[i] = in.means2d[2 * g + 1] - origin_y;
      a[i] = in.conics[3 * g];
      b[i] = in.conics[3 * g + 1];
      c[i] = in.conics[3 * g + 2];
      opacity[i] = in.opacities[g];
      colour[i] = in.colours + in.channels * g;
    }
    for (int i = size; i % V::width; ++i) x[i] = y[i] = a[i] = b[i] = c[i] = opacity[i] = 1.0f;
    for (int i = 0; i < size; i += V::width) sigma_limit(V::load(opacity + i)).store(limit + i);
  }

  Splat2d<V> splat(int i) const {
    return {x[i], y[i], 0.5f * a[i], b[i], 0.5f * c[i], opacity[i], limit[i]};
  }
};

}  // namespace
SPLAT_END
