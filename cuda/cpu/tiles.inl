// The tiles that each Gaussian touches: the ones of its box whose pixel centres come within its ellipse. The tiles of a
// box are tested a vector at a time, whatever the box's shape. A tile holding no pixel centre inside is never listed;
// one that does is never missed.
#include "splat/bits.h"
#include "splat/math/alpha.h"
#include "splat/math/ellipse.h"
#include "splat/ops/tiles.h"
#include "splat/simd.h"

SPLAT_BEGIN
namespace {

using V = simd_float;

struct Range {
  int first, last;
};

/// Pixels with centres in [centre - half, centre + half], clipped to [0, size); first > last where there are none.
Range pixel_range(float centre, float half, int size) {
  // Clipped as floats, since what is far off the image does not fit an integer, and shifted so that all are positive.
  const float end = static_cast<float>(size), shifted = centre - 0.5f;
  const int first = size - static_cast<int>(end - min(max(shifted - half, 0.0f), end));
  const int last = static_cast<int>(min(max(shifted + half, -1.0f), end - 1.0f) + 1.0f) - 1;
  return {first, last};
}

/// The tiles of a Gaussian's box.
struct Box {
  int left = 0, top = 0, across = 0, down = 0;
  int64_t size() const { return static_cast<int64_t>(across) * down; }
};

Box box_of(const TilesParams& p, int64_t g) {
  const float half_x = p.extents[2 * g], half_y = p.extents[2 * g + 1];
  if (!(half_x > 0.0f)) return {};
  const float x = p.means2d[2 * g], y = p.means2d[2 * g + 1];
  if (!(x - x == 0.0f && y - y == 0.0f)) return {};  // infinite or NaN
  const Range columns = pixel_range(x, half_x, p.width), rows = pixel_range(y, half_y, p.height);
  if (columns.first > columns.last || rows.first > rows.last) return {};
  const int left = columns.first / kTile, top = rows.first / kTile;
  return {left, top, columns.last / kTile - left + 1, rows.last / kTile - top + 1};
}

int64_t tile_number(const TilesParams& p, int64_t g, int column, int row) {
  return (g / p.per_camera * p.tiles_y + row) * p.tiles_x + column;
}

/// Calls f(hits, first) for the tiles of a box, counted row by row from `first`, one bit each, V::width at a time.
template <class F>
void test_box(const TilesParams& p, int64_t g, const Box& box, const F& f) {
  const float* conic = p.conics + 3 * g;
  const V x(p.means2d[2 * g]), y(p.means2d[2 * g + 1]), a(conic[0]), b(conic[1]), c(conic[2]);
  const V b_over_a(conic[1] / conic[0]), b_over_c(conic[1] / conic[2]);
  const V limit = sigma_limit(V(p.opacities[g])) + V(kSigmaSlack);
  const V across(static_cast<float>(box.across)), per_row(1.0f / static_cast<float>(box.across));
  const V left(static_cast<float>(box.left)), top(static_cast<float>(box.top));
  const V tile(kTile), half(0.5f), side(kTile - 1);
  const int64_t size = box.size();
  for (int64_t first = 0; first < size; first += V::width) {
    const V index = V(static_cast<float>(first)) + lane_numbers<V>();
    const V row = nearest(fma(index + half, per_row, -half)), column = fma(-row, across, index);
    const V pixel_x = fma(column + left, tile, half), pixel_y = fma(row + top, tile, half);
    const V sigma = least_sigma(x, y, a, b, c, b_over_a, b_over_c, pixel_x, pixel_y, pixel_x + side, pixel_y + side);
    // Not `sigma <= limit`: NaN, of a conic too flat for its inverse, counts as inside.
    uint32_t hits = (!(sigma > limit)).bits();
    if (size - first < V::width) hits &= (1u << (size - first)) - 1;
    f(hits, first);
  }
}

void measure(const TilesParams& p, int64_t begin, int64_t end, Footprint* footprints, int64_t* counts) {
  for (int64_t g = begin; g < end; ++g) {
    const Box box = box_of(p, g);
    Footprint footprint;
    int64_t count = 0;
    if (box.across) {
      test_box(p, g, box, [&](uint32_t hits, int64_t first) {
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
  const Box box = box_of(p, g);
  test_box(p, g, box, [&](uint32_t hits, int64_t first) {
    for (; hits; hits &= hits - 1) {
      const int64_t index = first + lowest_bit(hits);
      const int column = static_cast<int>(index % box.across), row = static_cast<int>(index / box.across);
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
