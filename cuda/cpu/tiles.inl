// The tiles that each Gaussian touches. The tiles of a box are tested a vector at a time, whatever the box's shape.
#include "splat/bits.h"
#include "splat/math/footprint.h"
#include "splat/ops/tiles.h"
#include "splat/simd.h"

SPLAT_BEGIN
namespace {

using V = simd_float;

TileBox box_of(const TilesParams& p, int64_t g) {
  return tile_box(p.means2d[2 * g], p.means2d[2 * g + 1], p.extents[2 * g], p.extents[2 * g + 1], p.width, p.height);
}

int64_t tile_number(const TilesParams& p, int64_t g, int column, int row) {
  return (g / p.per_camera * p.tiles_y + row) * p.tiles_x + column;
}

/// Calls f(hits, first) for the tiles of a box, counted row by row from `first`, one bit each, V::width at a time.
template <class F>
void test_box(const TilesParams& p, int64_t g, const TileBox& box, const F& f) {
  const float* conic = p.conics + 3 * g;
  const TileTest<V> test = tile_test<V>(p.means2d[2 * g], p.means2d[2 * g + 1], conic[0], conic[1], conic[2],
                                        p.opacities[g], box);
  const int size = box.size();
  for (int first = 0; first < size; first += V::width) {
    const V index = V(static_cast<float>(first)) + lane_numbers<V>();
    uint32_t hits = is_touched(test, place_in_box(test, index)).bits();
    if (size - first < V::width) hits &= (1u << (size - first)) - 1;
    f(hits, first);
  }
}

void measure(const TilesParams& p, int64_t begin, int64_t end, Footprint* footprints, int64_t* counts) {
  for (int64_t g = begin; g < end; ++g) {
    const TileBox box = box_of(p, g);
    Footprint footprint;
    int64_t count = 0;
    if (box.across) {
      test_box(p, g, box, [&](uint32_t hits, int first) {
        if (first < 64) footprint.hits |= static_cast<uint64_t>(hits) << first;
        count += count_bits(hits);
      });
      footprint.first_tile = static_cast<int32_t>(tile_number(p, g, box.left, box.top));
      footprint.across = box.size() <= 64 ? box.across : 0;
    }
    footprints[g] = footprint;
    counts[g] = count;
  }
}

/// Calls f(tile) for each tile that a Gaussian touches, row by row.
template <class F>
void for_tiles(const TilesParams& p, const Footprint& footprint, int64_t g, const F& f) {
  if (footprint.across) {
    const uint64_t row_bits = footprint.across < 64 ? (uint64_t{1} << footprint.across) - 1 : ~uint64_t{0};
    int64_t row_tile = footprint.first_tile;
    for (uint64_t rows = footprint.hits; rows; row_tile += p.tiles_x) {
      for (uint64_t row = rows & row_bits; row; row &= row - 1) f(row_tile + lowest_bit(row));
      rows = footprint.across < 64 ? rows >> footprint.across : 0;
    }
    return;
  }
  const TileBox box = box_of(p, g);
  test_box(p, g, box, [&](uint32_t hits, int first) {
    for (; hits; hits &= hits - 1) {
      const int index = first + lowest_bit(hits), column = index % box.across, row = index / box.across;
      f(tile_number(p, g, box.left + column, box.top + row));
    }
  });
}

constexpr int64_t kAhead = 12;  // Gaussians whose footprints are asked for before they are needed

void count(const TilesParams& p, const Footprint* footprints, const int32_t* order, int64_t begin, int64_t end,
           int64_t* counts) {
  for (int64_t i = begin; i < end; ++i) {
    if (i + kAhead < end) prefetch(footprints + order[i + kAhead]);
    for_tiles(p, footprints[order[i]], order[i], [&](int64_t tile) { ++counts[tile]; });
  }
}

void scatter(const TilesParams& p, const Footprint* footprints, const int32_t* order, int64_t begin, int64_t end,
             const int64_t* offsets, int64_t* places, int32_t* ids, int32_t* slots) {
  for (int64_t i = begin; i < end; ++i) {
    if (i + kAhead < end) {
      prefetch(footprints + order[i + kAhead]);
      prefetch(offsets + order[i + kAhead]);
    }
    int32_t slot = static_cast<int32_t>(offsets[order[i]]);
    for_tiles(p, footprints[order[i]], order[i], [&](int64_t tile) {
      const int64_t place = places[tile]++;
      ids[place] = order[i];
      slots[place] = slot++;
    });
  }
}

}  // namespace

TilesKernels tiles_kernels() { return {measure, count, scatter}; }

SPLAT_END
