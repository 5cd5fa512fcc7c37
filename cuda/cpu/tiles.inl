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
  // Clipped as floats: what is far off the image does not fit an integer. NaN ends up at the second argument.
  const float first = min(max(centre - half - 0.5f, -1.0f), static_cast<float>(size));
  const float last = max(min(centre + half - 0.5f, static_cast<float>(size)), -2.0f);
  const int floor_last = static_cast<int>(last + 2.0f) - 2;
  const int ceil_first = -static_cast<int>(static_cast<float>(size) - first) + size;
  return {ceil_first < 0 ? 0 : ceil_first, floor_last < size ? floor_last : size - 1};
}

/// Number of tiles of Gaussian g; their ids go to `ids` unless it is null.
int64_t touched_tiles(const TilesParams& p, int64_t g, int32_t* ids) {
  const float half_x = p.extents[2 * g], half_y = p.extents[2 * g + 1];
  const float x = p.means2d[2 * g], y = p.means2d[2 * g + 1];
  if (!(half_x > 0.0f && x - x == 0.0f && y - y == 0.0f)) return 0;  // culled, or infinite or NaN
  const Range columns = pixel_range(x, half_x, p.width), rows = pixel_range(y, half_y, p.height);
  if (columns.first > columns.last || rows.first > rows.last) return 0;
  const int left = columns.first / kTile, across = columns.last / kTile - left + 1;
  const int top = rows.first / kTile, down = rows.last / kTile - top + 1;

  const V a(p.conics[3 * g]), b(p.conics[3 * g + 1]), c(p.conics[3 * g + 2]);
  const V limit(sigma_limit(p.opacities[g]) + kSigmaSlack);
  const V one_row(static_cast<float>(across)), inverse_row(1.0f / static_cast<float>(across));
  const int64_t camera_tiles = g / p.per_camera * p.tiles_x * p.tiles_y;
  const int64_t candidates = static_cast<int64_t>(across) * down;
  int64_t found = 0;
  for (int64_t first = 0; first < candidates; first += V::width) {
    // Lane i is candidate first + i, counted row by row through the box.
    const V index = V(static_cast<float>(first)) + lane_numbers<V>();
    const V row = nearest(fma(index + V(0.5f), inverse_row, V(-0.5f))), column = index - row * one_row;
    const V tile_x = column + V(static_cast<float>(left)), tile_y = row + V(static_cast<float>(top));
    const V pixel_left = fma(tile_x, V(kTile), V(0.5f)), pixel_top = fma(tile_y, V(kTile), V(0.5f));
    const V side(kTile - 1.0f);
    const auto misses = least_sigma(V(x), V(y), a, b, c, pixel_left, pixel_top, side, side) > limit;
    const int64_t left_over = candidates - first;
    uint32_t hits = (!misses).bits();
    if (left_over < V::width) hits &= (1u << left_over) - 1;
    if (ids) {
      float tiles[V::width];
      fma(tile_y, V(static_cast<float>(p.tiles_x)), tile_x).store(tiles);
      for (uint32_t rest = hits; rest; rest &= rest - 1) {
        *ids++ = static_cast<int32_t>(camera_tiles + static_cast<int64_t>(tiles[lowest_bit(rest)]));
      }
    }
    found += count_bits(hits);
  }
  return found;
}

void count(const TilesParams& p, int64_t begin, int64_t end, int64_t* counts) {
  for (int64_t g = begin; g < end; ++g) counts[g] = touched_tiles(p, g, nullptr);
}

void fill(const TilesParams& p, int64_t begin, int64_t end, const int64_t* offsets, int32_t* tile_ids) {
  for (int64_t g = begin; g < end; ++g) {
    if (offsets[g + 1] > offsets[g]) touched_tiles(p, g, tile_ids + offsets[g]);
  }
}

}  // namespace

TilesKernels tiles_kernels() { return {count, fill}; }

SPLAT_END
