// Which Gaussians touch which tile. C cameras of N Gaussians, tiles of kTile x kTile pixels, I instances.
#pragma once

#include <stdint.h>

#include "splat/constants.h"
#include "splat/stream.h"

namespace splat {

/// The tiles of one Gaussian: those of a box, `across` wide, whose bits are set, row by row. A box of more than 64
/// tiles is tested again whenever it is walked through.
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

// On a GPU the stages follow one another, with sorts and sums between them (torch/gpu/tiles.cpp). G = C N Gaussians, of
// which V touch a tile, in depth order from the second stage on. The host need not know V and I: it may give the
// stages more places, of which the first V or I are used.

/// counts [G + 1]: how many tiles each Gaussian touches, and a 0.
void count_tiles_on_gpu(const TilesParams&, int64_t gaussians, int32_t* counts, Stream);

struct TileTotals {
  int64_t instances = 0, visible = 0;  // I without a bound, and V
};

/// Zeroes the counts of the Gaussians whose instances, of which `offsets` [G + 1] are the sums, go beyond the bound;
/// needed [1]: the sum of all counts before.
void drop_beyond_bound_on_gpu(const int64_t* offsets, int64_t gaussians, int64_t bound, int32_t* counts,
                              int64_t* needed, Stream);

/// Waits for all that the stream was given before: what follows needs memory of these sizes.
TileTotals read_tile_totals(const TileTotals* on_gpu, Stream);

/// keys [count]: the depths of the Gaussians `ids`, as integers of the same order; the greatest where i >= used[0].
void depth_keys_on_gpu(const float* depths, const int32_t* ids, const int64_t* used, int64_t count, uint32_t* keys,
                       Stream);

/// out [count]: from[indices[i]]; 0 where i >= used[0].
void gather_on_gpu(const int32_t* from, const int32_t* indices, const int64_t* used, int64_t count, int32_t* out,
                   Stream);

struct TileInstances {
  const int64_t* visible = nullptr;           // [1] V
  const int32_t* order = nullptr;             // [V] Gaussians
  const int64_t* starts = nullptr;            // [V] the first instance of each in this order
  const int64_t* gaussian_offsets = nullptr;  // [G + 1]
  uint32_t* tiles = nullptr;                  // [I] of each instance
  int32_t* slots = nullptr;                   // [I]
  int32_t* owners = nullptr;                  // [I] by slot: the Gaussian
};

/// @param places  at least V
void emit_instances_on_gpu(const TilesParams&, const TileInstances&, int64_t places, Stream);

/// From place used[0] on: a tile behind all others, and the place as slot.
void pad_instances_on_gpu(const int64_t* used, int64_t places, int64_t tiles, uint32_t* tiles_of, int32_t* slots,
                          Stream);

/// offsets [tiles + 1] of the instances whose tiles, in ascending order, are sorted [places].
void tile_offsets_on_gpu(const uint32_t* sorted, int64_t places, int64_t tiles, int64_t* offsets, Stream);

}  // namespace splat
