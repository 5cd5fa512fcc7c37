// Compositing the Gaussians of each tile front to back, and its gradient. C cameras, N Gaussians each, D channels,
// H x W pixels, I instances (Gaussian-tile pairs), T tiles over all cameras.
#pragma once

#include <stdint.h>

#include "splat/constants.h"
#include "splat/macros.h"
#include "splat/stream.h"

namespace splat {

/// What forward and backward read.
struct BlendInputs {
  const float* means2d = nullptr;     // [C N, 2] px
  const float* conics = nullptr;      // [C N, 3] 1/px^2
  const float* opacities = nullptr;   // [C N]
  const float* colours = nullptr;     // [C N, D]
  const float* background = nullptr;  // [C, D], or null for black
  const int64_t* offsets = nullptr;   // [T + 1] first instance of each tile
  const int32_t* gaussian_ids = nullptr;  // [I] in [0, C N), by depth within a tile
  int channels = 0;                   // D
  int width = 0, height = 0;          // px
  int tiles_x = 0, tiles_y = 0;
};

struct BlendForward {
  BlendInputs in;
  float* image = nullptr;           // [C, H, W, D], background included
  float* transmittances = nullptr;  // [C, H, W] at the end of each pixel's list
  int32_t* median_ids = nullptr;    // [C, H, W] Gaussian at which T first falls below 1/2, or -1; null if not asked for
  int64_t* blocks = nullptr;        // [I] bit b: the instance was composited in block b of its tile; or null
};

struct BlendBackward {
  BlendInputs in;
  const int32_t* slots = nullptr;           // [I] where an instance stands when ordered by Gaussian
  const float* image = nullptr;             // [C, H, W, D]
  const float* transmittances = nullptr;    // [C, H, W]
  const int64_t* blocks = nullptr;          // [I]
  const float* v_image = nullptr;           // [C, H, W, D]
  const float* v_transmittances = nullptr;  // [C, H, W]
  bool absgrad = false;
  float* sums = nullptr;          // [I, row] by slot: six moments, D colours, and two of |v_mean| if absgrad
  float* v_background = nullptr;  // [T, D] each tile's share, or null
};

/// The sums of each Gaussian's instances, and from them its gradient.
struct BlendGather {
  const float* conics = nullptr;              // [C N, 3]
  const float* opacities = nullptr;           // [C N]
  const int64_t* gaussian_offsets = nullptr;  // [C N + 1] first slot of each Gaussian
  const float* sums = nullptr;                // [I, row]
  int channels = 0;
  float* v_means2d = nullptr;    // [C N, 2]
  float* v_conics = nullptr;     // [C N, 3]
  float* v_opacities = nullptr;  // [C N]
  float* v_colours = nullptr;    // [C N, D]
  float* v_absgrad = nullptr;    // [C N, 2] or null
};

/// Floats in one row of BlendBackward::sums.
SPLAT_HD constexpr int64_t blend_row(int64_t channels, bool absgrad) { return 6 + channels + (absgrad ? 2 : 0); }

struct BlendForwardKernels {
  /// Floats of scratch memory a worker needs, aligned to 64 bytes.
  int64_t (*scratch)(int64_t channels);
  void (*tile)(const BlendForward&, int64_t tile, float* scratch);
};

struct BlendBackwardKernels {
  int64_t (*scratch)(int64_t channels);
  void (*tile)(const BlendBackward&, int64_t tile, float* scratch);
  void (*gather)(const BlendGather&, int64_t begin, int64_t end);
};

// On a GPU a tile's list is cut into buckets of kBucket instances, and a tile into kSubtiles parts of kBucket pixels:
// one warp each. Tile t's buckets are numbered from offsets[t] / kBucket + t on, which needs no sum over tiles and leaves
// few numbers unused.
constexpr int kBucket = 32;
constexpr int kSubtiles = kTile * kTile / kBucket;

constexpr int64_t bucket_count(int64_t instances, int64_t tiles) { return instances / kBucket + tiles; }

/// What forward notes for backward, B buckets.
struct BlendTrail {
  uint32_t* masks = nullptr;  // [B, kSubtiles] bit i: the bucket's instance i may reach the subtile, and did before it was full
  int32_t* tiles = nullptr;   // [B] the tile whose bucket it is
  float* states = nullptr;    // [B, 1 + D, kTile^2] transmittances and colours of the pixels where the bucket begins; only
                              // of subtiles whose mask is not 0
};

/// Words of 32 bits in a trail.
constexpr int64_t trail_words(int64_t buckets, int64_t channels) {
  return buckets * (kSubtiles + 1 + (1 + channels) * kTile * kTile);
}

/// The parts of a trail, one after another in memory.
inline BlendTrail trail_at(float* memory, int64_t buckets) {
  auto* masks = reinterpret_cast<uint32_t*>(memory);
  auto* tiles = reinterpret_cast<int32_t*>(masks + buckets * kSubtiles);
  return {masks, tiles, reinterpret_cast<float*>(tiles + buckets)};
}

/// Composites all tiles; `blocks` is not used. The trail's pointers may be null.
void blend_on_gpu(const BlendForward&, const BlendTrail&, int64_t tiles, Stream);

/// Writes the sums of all instances; `blocks` and `v_background` are not used.
void blend_backward_on_gpu(const BlendBackward&, const BlendTrail&, int64_t buckets, Stream);

/// Gradients of `count` Gaussians from their instances' sums.
void blend_gather_on_gpu(const BlendGather&, int64_t count, Stream);

/// d(loss)/d(background) [C, D] of C images of `pixels` each; shares: [C, kBackgroundBlocks, D] temporary memory.
constexpr int kBackgroundBlocks = 64;
void background_vjp_on_gpu(const float* transmittances, const float* v_image, int64_t cameras, int64_t pixels,
                           int channels, float* shares, float* v_background, Stream);

}  // namespace splat
