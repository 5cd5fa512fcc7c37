// Compositing the Gaussians of each tile front to back, and its gradient. C cameras, N Gaussians each, D channels,
// H x W pixels, I instances (Gaussian-tile pairs), T tiles over all cameras.
#pragma once

#include <stdint.h>

#include "splat/constants.h"

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
constexpr int64_t blend_row(int64_t channels, bool absgrad) { return 6 + channels + (absgrad ? 2 : 0); }

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

}  // namespace splat
