// Which Gaussians touch which tile. C cameras of N Gaussians, tiles of kTile x kTile pixels.
#pragma once

#include <stdint.h>

#include "splat/constants.h"

namespace splat {

struct TilesParams {
  const float* means2d = nullptr;    // [C N, 2] px
  const float* conics = nullptr;     // [C N, 3] 1/px^2
  const float* opacities = nullptr;  // [C N]
  const float* extents = nullptr;    // [C N, 2] half-sizes of the tight box, px; 0 where culled
  int64_t per_camera = 0;            // N
  int width = 0, height = 0;         // px
  int tiles_x = 0, tiles_y = 0;
};

struct TilesKernels {
  /// counts[g] = number of tiles that Gaussian g touches, for g in [begin, end).
  void (*count)(const TilesParams&, int64_t begin, int64_t end, int64_t* counts);
  /// Writes the tiles of Gaussian g, numbered over all cameras, to tile_ids[offsets[g] .. offsets[g + 1]).
  void (*fill)(const TilesParams&, int64_t begin, int64_t end, const int64_t* offsets, int32_t* tile_ids);
};

}  // namespace splat
