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

/// A tile's place in the image.
struct TileFrame {
  int64_t camera, first_pixel;   // first_pixel: index of the tile's first pixel in [C, H, W]
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

  /// The index in [C, H, W] of a pixel of the tile.
  int64_t pixel(int column, int row) const { return first_pixel + static_cast<int64_t>(row) * image_width + column; }

  /// Asks for the tile's part of an image [C, H, W, channels].
  void prefetch_pixels(const float* image, int channels) const {
    constexpr int kLine = 16;  // floats
    for (int row = 0; row < rows; ++row) {
      const float* begin = image + pixel(0, row) * channels;
      for (int i = 0; i < columns * channels; i += kLine) prefetch(begin + i);
    }
  }
};

/// What is known of a tile's pixels while its Gaussians pass: some numbers each, as planes of a vector each, block by
/// block, so that all of a block's planes are near one address. In the first-level cache for the usual channels.
struct Pixels {
  // Planes that forward and backward have in common; each adds its own from kOwnPlanes on.
  static constexpr int kX = 0, kY = 1;         // column and row within the tile, px
  static constexpr int kTransmittance = 2;     // negated once the pixel has stopped, and outside the image
  static constexpr int kOwnPlanes = 3;

  float* memory;  // [kBlocks, planes, V::width]
  int planes;

  float* block(int index) const { return memory + static_cast<int64_t>(index) * planes * V::width; }

  /// Calls f(lane, pixel) for the tile's pixels that are in the image, with their index in [C, H, W]. Plane i of the
  /// pixel is lane[i * V::width].
  template <class F>
  void each(const TileFrame& frame, const F& f) const {
    for (int i = 0; i < kBlocks; ++i) {
      const int left = i % kBlocksAcross * kBlockColumns, top = i / kBlocksAcross * kBlockRows;
      const int columns = frame.columns - left < kBlockColumns ? frame.columns - left : kBlockColumns;
      const int rows = frame.rows - top < kBlockRows ? frame.rows - top : kBlockRows;
      for (int row = 0; row < rows; ++row) {
        float* lane = block(i) + row * kBlockColumns;
        const int64_t pixel = frame.pixel(left, top + row);
        for (int column = 0; column < columns; ++column) f(lane + column, pixel + column);
      }
    }
  }

  /// Sets the common planes, and the others to zero.
  void start(const TileFrame& frame) const {
    static const float columns[16] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};  // of a block's lanes
    static const float rows[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    const V end_x(static_cast<float>(frame.columns)), end_y(static_cast<float>(frame.rows)), one(1.0f);
    for (int i = 0; i < kBlocks; ++i) {
      const V x = V::load(columns) + V(static_cast<float>(i % kBlocksAcross * kBlockColumns));
      const V y = V::load(rows) + V(static_cast<float>(i / kBlocksAcross * kBlockRows));
      float* planes_of_block = block(i);
      x.store(planes_of_block + kX * V::width);
      y.store(planes_of_block + kY * V::width);
      select((x < end_x) & (y < end_y), one, -one).store(planes_of_block + kTransmittance * V::width);
      for (int plane = kOwnPlanes; plane < planes; ++plane) V(0.0f).store(planes_of_block + plane * V::width);
    }
  }
};

/// Gaussians of a tile, fetched a batch at a time into arrays that stay in the first-level cache.
struct Batch {
  static constexpr int kSize = 64;
  static_assert(kSize % V::width == 0, "the last vector of a batch is padded");
  // Means are relative to the tile's first pixel centre.
  alignas(64) float x[kSize], y[kSize], half_a[kSize], b[kSize], half_c[kSize], opacity[kSize], limit[kSize];
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
      half_a[i] = 0.5f * in.conics[3 * g];
      b[i] = in.conics[3 * g + 1];
      half_c[i] = 0.5f * in.conics[3 * g + 2];
      opacity[i] = in.opacities[g];
      colour[i] = in.colours + in.channels * g;
    }
    for (int i = size; i % V::width; ++i) x[i] = y[i] = half_a[i] = b[i] = half_c[i] = opacity[i] = 1.0f;
    for (int i = 0; i < size; i += V::width) sigma_limit(V::load(opacity + i)).store(limit + i);
  }

  template <class T>
  Splat2d<T> splat(int i) const {
    return {T(x[i]), T(y[i]), T(half_a[i]), T(b[i]), T(half_c[i]), T(opacity[i]), T(limit[i])};
  }
};

}  // namespace
SPLAT_END
