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

// On a GPU a tile's list is cut into groups of kGroup instances, a lane each, and a tile into kSubtiles parts of kGroup
// pixels, one warp each. Forward notes the pixels' state every few groups, and what lies between, a bucket, is one
// warp's work in backward. The longer the lists, the longer the buckets: there are enough of them to fill a GPU, and
// the states stay some hundred MiB.
constexpr int kGroup = 32;
constexpr int kSubtiles = kTile * kTile / kGroup;

/// Tile t's buckets are numbered from offsets[t] / (groups kGroup) + t on, which needs no sum over tiles and leaves few
/// numbers unused; where there are places for more instances than there are, those behind the last tile's are, too.
struct Buckets {
  int groups = 0;     // of a bucket
  int64_t count = 0;  // B
  int tiles = 0;
};

inline Buckets buckets_for(int64_t instances, int64_t tiles) {
  const int64_t wanted = instances >> 19, groups = wanted < 2 ? 2 : wanted > 16 ? 16 : wanted;
  return {static_cast<int>(groups), instances / (groups * kGroup) + tiles, static_cast<int>(tiles)};
}

/// What forward notes for backward.
struct BlendTrail {
  Buckets buckets;
  uint32_t* masks = nullptr;  // [B, groups, kSubtiles] bit i: the group's instance i may reach the subtile
  int32_t* tiles = nullptr;   // [B] the tile whose bucket it is
  float* states = nullptr;    // [B, 1 + D, kTile^2] transmittances and colours of the pixels where the bucket begins;
                              // only of subtiles that have a mask in it
};

/// Words of 32 bits in a trail.
inline int64_t trail_words(const Buckets& buckets, int64_t channels) {
  return buckets.count * (buckets.groups * kSubtiles + 1 + (1 + channels) * kTile * kTile);
}

/// The parts of a trail, one after another in memory.
inline BlendTrail trail_at(float* memory, const Buckets& buckets) {
  auto* masks = reinterpret_cast<uint32_t*>(memory);
  auto* tiles = reinterpret_cast<int32_t*>(masks + buckets.count * buckets.groups * kSubtiles);
  return {buckets, masks, tiles, reinterpret_cast<float*>(tiles + buckets.count)};
}

/// Composites all tiles; `blocks` is not used. The trail's pointers may be null.
void blend_on_gpu(const BlendForward&, const BlendTrail&, int64_t tiles, Stream);

/// Writes the sums of all instances; `blocks` and `v_background` are not used.
void blend_backward_on_gpu(const BlendBackward&, const BlendTrail&, Stream);

/// Gradients of `count` Gaussians from their instances' sums.
void blend_gather_on_gpu(const BlendGather&, int64_t count, Stream);

/// d(loss)/d(background) [C, D] of C images of `pixels` each; shares: [C, kBackgroundBlocks, D] temporary memory.
constexpr int kBackgroundBlocks = 64;
void background_vjp_on_gpu(const float* transmittances, const float* v_image, int64_t cameras, int64_t pixels,
                           int channels, float* shares, float* v_background, Stream);

}  // namespace splat
