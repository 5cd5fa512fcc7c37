// Which Gaussians touch which tile. C cameras of N Gaussians, tiles of kTile x kTile pixels, I instances.
#pragma once

#include <stdint.h>

#include "splat/constants.h"

namespace splat {

/// The tiles of one Gaussian: those of a box, `across` wide, whose bits are set, row by row. A box of more than 64 tiles
/// is tested again whenever it is walked through.
struct Footprint {
  uint64_t hits = 0;
  int32_t first_tile = 0;  // the box's upper left one, numbered over all cameras
  int32_t across = 0;      // 0: more than 64 tiles
};

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
  /// For the Gaussians [begin, end): their footprints, and how many tiles each touches.
  void (*measure)(const TilesParams&, int64_t begin, int64_t end, Footprint* footprints, int64_t* counts);
  /// Adds to counts[tile] the instances of the Gaussians order[begin .. end).
  void (*count)(const TilesParams&, const Footprint*, const int32_t* order, int64_t begin, int64_t end,
                int64_t* counts);
  /// Appends the instances of those Gaussians to their tiles, which continue at places[tile]: the Gaussian to
  /// ids, and its instance's number, from offsets[g] on, to slots.
  void (*scatter)(const TilesParams&, const Footprint*, const int32_t* order, int64_t begin, int64_t end,
                  const int64_t* offsets, int64_t* places, int32_t* ids, int32_t* slots);
};

}  // namespace splat
