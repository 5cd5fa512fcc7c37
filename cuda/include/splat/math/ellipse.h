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

/// The least sigma over the rectangle [left, left + width] x [top, top + height]. It lies on the edge that faces the
/// mean, at most one edge a direction; sliding along both would need B^2 > A C.
/// Source: Radl et al., "StopThePop", 2024, tile culling.
template <class T>
SPLAT_HD T least_sigma(T x, T y, T a, T b, T c, T left, T top, T width, T height) {
  const T zero(0.0f), one(1.0f);
  const auto is_left = x < left, is_above = y < top;
  const auto within_x = (x >= left) & (x <= left + width), within_y = (y >= top) & (y <= top + height);
  const T corner_x = select(is_left, left, left + width), corner_y = select(is_above, top, top + height);
  const T step_x = select(is_left, width, -width), step_y = select(is_above, height, -height);
  const T from_x = x - corner_x, from_y = y - corner_y;
  const T slide_x = select(within_y, zero, clamp(fma(a, from_x, b * from_y) / (a * step_x), zero, one));
  const T slide_y = select(within_x, zero, clamp(fma(b, from_x, c * from_y) / (c * step_y), zero, one));
  const T dx = fma(-slide_x, step_x, from_x), dy = fma(-slide_y, step_y, from_y);
  const T sigma = fma(dx, fma(T(0.5f) * a, dx, b * dy), T(0.5f) * c * dy * dy);
  return select(within_x & within_y, zero, sigma);
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
