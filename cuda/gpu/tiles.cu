// Which Gaussians touch which tile, on the GPU. Boxes hold one tile or thousands, so a warp walks those of its 32
// Gaussians as one list of candidates: every lane tests a tile in every round, whichever Gaussian it belongs to.
#include "gpu/device.h"
#include "splat/bits.h"
#include "splat/math/footprint.h"
#include "splat/ops/tiles.h"

SPLAT_BEGIN
namespace {

constexpr int kThreads = 256;

/// A Gaussian whose box is walked.
struct alignas(16) Walked {
  TileTest<float> test;
  int start;       // number of its box's first candidate in the warp's list
  int first_tile;  // the box's upper left one
  int id;
  int to_slot;     // from an instance's number to its slot
};

struct WalkedByWarp {
  Walked at[kThreads / kWarp][kWarp];
};

__device__ TileBox box_of(const TilesParams& p, int64_t g) {
  return tile_box(p.means2d[2 * g], p.means2d[2 * g + 1], p.extents[2 * g], p.extents[2 * g + 1], p.width, p.height);
}

__device__ TileTest<float> test_of(const TilesParams& p, int64_t g, const TileBox& box) {
  const float* conic = p.conics + 3 * g;
  return tile_test<float>(p.means2d[2 * g], p.means2d[2 * g + 1], conic[0], conic[1], conic[2], p.opacities[g], box);
}

/// The sum of the lanes' values up to and including one's own.
__device__ int inclusive_sum(int value) {
  const int lane = threadIdx.x % kWarp;
  for (int step = 1; step < kWarp; step *= 2) {
    const int before = __shfl_up_sync(kWholeWarp, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

/// Bits below the n-th, for any n.
__device__ unsigned bits_below(int n) { return n <= 0 ? 0u : n >= kWarp ? kWholeWarp : (1u << n) - 1u; }

/// Calls f(hits, first, candidate's Gaussian, candidate's place) for the warp's candidates, 32 at a time from `first`;
/// bit i of hits says that candidate first + i is a tile its Gaussian touches.
/// @param end  where one's own Gaussian's candidates end in the list: 32 x 2^24 at most, the largest image's tiles
template <class F>
__device__ void walk(const Walked (&walked)[kWarp], int end, const F& f) {
  const int lane = threadIdx.x % kWarp, total = __shfl_sync(kWholeWarp, end, kWarp - 1);
  for (int first = 0; first < total; first += kWarp) {
    const int candidate = first + lane;
    int owner = 0;  // how many Gaussians end before the candidate
    for (int step = kWarp / 2; step > 0; step /= 2) {
      if (__shfl_sync(kWholeWarp, end, owner + step - 1) <= candidate) owner += step;
    }
    const Walked& gaussian = walked[owner];
    const auto place = place_in_box(gaussian.test, static_cast<float>(candidate - gaussian.start));
    const unsigned hits = __ballot_sync(kWholeWarp, candidate < total && is_touched(gaussian.test, place));
    f(hits, first, gaussian, place);
  }
}

__global__ void __launch_bounds__(kThreads) count_tiles(TilesParams p, int64_t gaussians, int32_t* counts) {
  SPLAT_SHARED(WalkedByWarp, shared);
  const int64_t g = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const TileBox box = g < gaussians ? box_of(p, g) : TileBox();
  const int end = inclusive_sum(box.size()), start = end - box.size();
  Walked(&walked)[kWarp] = shared.at[threadIdx.x / kWarp];
  if (box.size() > 0) walked[threadIdx.x % kWarp] = {test_of(p, g, box), start, 0, 0, 0};
  __syncwarp();
  int count = 0;
  walk(walked, end, [&](unsigned hits, int first, const Walked&, const TilePlace<float>&) {
    count += __popc(hits & bits_below(end - first) & ~bits_below(start - first));
  });
  if (g <= gaussians) counts[g] = count;
}

__global__ void __launch_bounds__(kThreads) drop_beyond_bound(const int64_t* offsets, int64_t gaussians, int64_t bound,
                                                              int32_t* counts, int64_t* needed) {
  const int64_t g = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g < gaussians && offsets[g + 1] > bound) counts[g] = 0;
  if (g == gaussians) *needed = offsets[gaussians];
}

__global__ void __launch_bounds__(kThreads) emit_instances(TilesParams p, TileInstances o) {
  SPLAT_SHARED(WalkedByWarp, shared);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int lane = threadIdx.x % kWarp;
  Walked(&walked)[kWarp] = shared.at[threadIdx.x / kWarp];
  int size = 0, instance = 0;
  if (i < *o.visible) {
    instance = static_cast<int>(o.starts[i]);
    const int id = o.order[i], camera = id / static_cast<int>(p.per_camera);
    const TileBox box = box_of(p, id);
    size = box.size();
    walked[lane].test = test_of(p, id, box);
    walked[lane].first_tile = (camera * p.tiles_y + box.top) * p.tiles_x + box.left;
    walked[lane].id = id;
    walked[lane].to_slot = static_cast<int>(o.gaussian_offsets[id]) - instance;
  }
  const int end = inclusive_sum(size);
  walked[lane].start = end - size;
  __syncwarp();
  instance = __shfl_sync(kWholeWarp, instance, 0);  // the warp's instances follow one another
  walk(walked, end, [&](unsigned hits, int, const Walked& gaussian, const TilePlace<float>& place) {
    if (hits >> lane & 1u) {
      const int mine = instance + __popc(hits & bits_below(lane)), slot = mine + gaussian.to_slot;
      o.tiles[mine] = gaussian.first_tile + static_cast<int>(place.row) * p.tiles_x + static_cast<int>(place.column);
      o.slots[mine] = slot;
      o.owners[slot] = gaussian.id;
    }
    instance += __popc(hits);
  });
}

__global__ void __launch_bounds__(kThreads) pad_instances(const int64_t* used, int64_t places, uint32_t tiles,
                                                          uint32_t* tiles_of, int32_t* slots) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < *used || i >= places) return;
  tiles_of[i] = tiles;
  slots[i] = static_cast<int32_t>(i);
}

__global__ void __launch_bounds__(kThreads) depth_keys(const float* depths, const int32_t* ids, const int64_t* used,
                                                       int64_t count, uint32_t* keys) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) keys[i] = i < *used ? ordered_bits(depths[ids[i]]) : ~0u;
}

__global__ void __launch_bounds__(kThreads) gather(const int32_t* from, const int32_t* indices, const int64_t* used,
                                                   int64_t count, int32_t* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) out[i] = i < *used ? from[indices[i]] : 0;
}

__global__ void __launch_bounds__(kThreads) tile_offsets(const uint32_t* sorted, int64_t places, int64_t tiles,
                                                         int64_t* offsets) {
  const int64_t tile = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (tile > tiles) return;
  int64_t first = 0, last = places;
  while (first < last) {
    const int64_t middle = (first + last) / 2;
    if (sorted[middle] < tile) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  offsets[tile] = first;
}

}  // namespace
SPLAT_END

namespace splat {

void count_tiles_on_gpu(const TilesParams& p, int64_t gaussians, int32_t* counts, Stream stream) {
  launch(count_tiles, blocks_for(gaussians + 1, kThreads), kThreads, stream, p, gaussians, counts);
}

TileTotals read_tile_totals(const TileTotals* on_gpu, Stream stream) {
  TileTotals totals;
  read_back(&totals, on_gpu, sizeof(totals), stream);
  return totals;
}

void drop_beyond_bound_on_gpu(const int64_t* offsets, int64_t gaussians, int64_t bound, int32_t* counts,
                              int64_t* needed, Stream stream) {
  launch(drop_beyond_bound, blocks_for(gaussians + 1, kThreads), kThreads, stream, offsets, gaussians, bound, counts,
         needed);
}

void depth_keys_on_gpu(const float* depths, const int32_t* ids, const int64_t* used, int64_t count, uint32_t* keys,
                       Stream stream) {
  launch(depth_keys, blocks_for(count, kThreads), kThreads, stream, depths, ids, used, count, keys);
}

void gather_on_gpu(const int32_t* from, const int32_t* indices, const int64_t* used, int64_t count, int32_t* out,
                   Stream stream) {
  launch(gather, blocks_for(count, kThreads), kThreads, stream, from, indices, used, count, out);
}

void emit_instances_on_gpu(const TilesParams& p, const TileInstances& o, int64_t places, Stream stream) {
  launch(emit_instances, blocks_for(places, kThreads), kThreads, stream, p, o);
}

void pad_instances_on_gpu(const int64_t* used, int64_t places, int64_t tiles, uint32_t* tiles_of, int32_t* slots,
                          Stream stream) {
  launch(pad_instances, blocks_for(places, kThreads), kThreads, stream, used, places, static_cast<uint32_t>(tiles),
         tiles_of, slots);
}

void tile_offsets_on_gpu(const uint32_t* sorted, int64_t places, int64_t tiles, int64_t* offsets, Stream stream) {
  launch(tile_offsets, blocks_for(tiles + 1, kThreads), kThreads, stream, sorted, places, tiles, offsets);
}

}  // namespace splat
