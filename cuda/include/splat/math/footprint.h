// The tiles that a 2D Gaussian touches: the ones of its box whose pixel centres come within its ellipse.
// A tile holding no pixel centre inside is never listed; one that does is never missed.
#pragma once

#include "splat/constants.h"
#include "splat/math/alpha.h"
#include "splat/math/ellipse.h"

SPLAT_BEGIN

struct Range {
  int first, last;
};

/// Pixels with centres in [centre - half, centre + half], clipped to [0, size); first > last where there are none.
SPLAT_HD Range pixel_range(float centre, float half, int size) {
  // Clipped as floats, since what is far off the image does not fit an integer, and shifted so that all are positive.
  const float end = static_cast<float>(size), shifted = centre - 0.5f;
  const int first = size - static_cast<int>(end - min(max(shifted - half, 0.0f), end));
  const int last = static_cast<int>(min(max(shifted + half, -1.0f), end - 1.0f) + 1.0f) - 1;
  return {first, last};
}

/// The tiles of a Gaussian's box; an image has 2^24 at most.
struct TileBox {
  int left = 0, top = 0, across = 0, down = 0;
  SPLAT_HD int size() const { return across * down; }
};

/// The box of a Gaussian at (x, y) px; empty where the extent is not positive or the mean not finite.
SPLAT_HD TileBox tile_box(float x, float y, float half_x, float half_y, int width, int height) {
  if (!(half_x > 0.0f)) return {};
  if (!(x - x == 0.0f && y - y == 0.0f)) return {};  // infinite or NaN
  const Range columns = pixel_range(x, half_x, width), rows = pixel_range(y, half_y, height);
  if (columns.first > columns.last || rows.first > rows.last) return {};
  const int left = columns.first / kTile, top = rows.first / kTile;
  return {left, top, columns.last / kTile - left + 1, rows.last / kTile - top + 1};
}

/// What the test of a box's tiles needs, once a Gaussian.
template <class T>
struct TileTest {
  T x, y, a, b, c, b_over_a, b_over_c;
  T limit;                        // of sigma
  T left, top, across, per_row;   // of the box; 1 / across
};

template <class T>
SPLAT_HD TileTest<T> tile_test(float x, float y, float a, float b, float c, float opacity, const TileBox& box) {
  const float across = static_cast<float>(box.across);
  return {T(x), T(y), T(a), T(b), T(c), T(b / a), T(b / c), sigma_limit(T(opacity)) + T(kSigmaSlack),
          T(static_cast<float>(box.left)), T(static_cast<float>(box.top)), T(across), T(1.0f / across)};
}

template <class T>
struct TilePlace {
  T column, row;
};

/// Where in its box the tile stands that is number `index` when they are counted row by row.
template <class T>
SPLAT_HD TilePlace<T> place_in_box(const TileTest<T>& test, T index) {
  const T half(0.5f), row = nearest(fma(index + half, test.per_row, -half));
  return {fma(-row, test.across, index), row};
}

/// Whether a tile of the box is touched.
template <class T>
SPLAT_HD auto is_touched(const TileTest<T>& test, const TilePlace<T>& place) {
  const T tile(kTile), half(0.5f), side(kTile - 1);
  const T x = fma(place.column + test.left, tile, half), y = fma(place.row + test.top, tile, half);
  const T sigma = least_sigma(test.x, test.y, test.a, test.b, test.c, test.b_over_a, test.b_over_c, x, y, x + side,
                              y + side);
  // Not `sigma <= limit`: NaN, of a conic too flat for its inverse, counts as inside.
  return !(sigma > test.limit);
}

SPLAT_END
