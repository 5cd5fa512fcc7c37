// Where the ellipse sigma(x) <= limit of a 2D Gaussian meets a rectangle or a horizontal band of pixel centres.
#pragma once

#include "splat/constants.h"
#include "splat/scalar.h"

SPLAT_BEGIN

/// Tests leave this much room, so that rounding never drops what the blending would still accept. It is a relative
/// error of 1 % in alpha at the faint edge of a splat.
constexpr float kSigmaSlack = 0.01f;

template <class T>
SPLAT_HD T clamp(T x, T low, T high) {
  return min(max(x, low), high);
}

/// The least sigma over the rectangle [left, right] x [top, bottom]. It lies on the edges that face the mean, and along
/// an edge sigma is a parabola; a mean inside is its own nearest point.
/// Source: Radl et al., "StopThePop", 2024, tile culling; here without case distinctions.
/// @param b_over_a, b_over_c  B/A and B/C
template <class T>
SPLAT_HD T least_sigma(T x, T y, T a, T b, T c, T b_over_a, T b_over_c, T left, T top, T right, T bottom) {
  const T west = left - x, east = right - x, north = top - y, south = bottom - y, zero(0.0f), half(0.5f);
  const T near_x = clamp(zero, west, east), near_y = clamp(zero, north, south);
  const T along_y = clamp(-b_over_c * near_x, north, south), along_x = clamp(-b_over_a * near_y, west, east);
  const T on_column = fma(near_x, fma(half * a, near_x, b * along_y), half * c * along_y * along_y);
  const T on_row = fma(along_x, fma(half * a, along_x, b * near_y), half * c * near_y * near_y);
  return min(on_column, on_row);
}

template <class T>
struct Span {
  T left, right;
  decltype(T() < T()) is_empty;
};

/// What a band needs of an ellipse, per Gaussian.
template <class T>
struct Ellipse {
  T x, y, slope;    // centre; -B/A, how far the middle of a row shifts per row
  T touch;          // rows from the centre to where the ellipse reaches furthest right, upwards for left
  T disc, reach;    // half the width of row h is sqrt(disc h^2 + reach)
};

template <class T>
SPLAT_HD Ellipse<T> ellipse(T x, T y, T a, T b, T c, T limit) {
  const T t = T(2.0f) * (limit + T(kSigmaSlack));
  const T inverse_a = T(1.0f) / a;
  const T det = fma(a, c, -(b * b));
  const T furthest = sqrt(max(t, T(0.0f)) * c / det);
  return {x, y, -b * inverse_a, -b * furthest / c, -det * inverse_a * inverse_a, t * inverse_a};
}

/// The columns that an ellipse covers in the rows [top, bottom]. The right end is concave in the row, so it is largest
/// where the row comes closest to the touch point; likewise the left end. NaN gives the whole line.
template <class T>
SPLAT_HD Span<T> band_span(const Ellipse<T>& e, T top, T bottom) {
  const T first = top - e.y, last = bottom - e.y, zero(0.0f);
  const T right_row = clamp(e.touch, first, last), left_row = clamp(-e.touch, first, last);
  const T right_square = fma(e.disc * right_row, right_row, e.reach);
  const T left_square = fma(e.disc * left_row, left_row, e.reach);
  return {fma(e.slope, left_row, e.x) - sqrt(max(left_square, zero)),
          fma(e.slope, right_row, e.x) + sqrt(max(right_square, zero)),
          (right_square < zero) | (left_square < zero)};
}

SPLAT_END
