// atan(sqrt w) / sqrt w, by which a fisheye lens brings the slope of a direction to its angle from the axis.
#pragma once

#include "splat/scalar.h"

SPLAT_BEGIN

/// atan x for x >= 0, relative error 2e-7 (Cephes' atanf: two reductions to |x| <= tan(pi / 8), then a polynomial).
template <class T>
SPLAT_HD T atan_positive(T x) {
  const T one(1.0f);
  const auto steep = x > one;
  x = select(steep, one / x, x);
  const auto middle = x > T(0.414213562f);
  const T a = select(middle, (x - one) / (x + one), x), aa = a * a;
  T p = fma(T(8.05374449538e-2f), aa, T(-1.38776856032e-1f));
  p = fma(p, aa, T(1.99777106478e-1f));
  p = fma(p, aa, T(-3.33329491539e-1f));
  const T angle = select(middle, T(0.785398163f), T(0.0f)) + fma(p * aa, a, a);
  return select(steep, T(1.57079633f) - angle, angle);
}

/// f(w) = atan(sqrt w) / sqrt w and its two derivatives.
template <class T>
struct AngleRatio {
  T f, df, ddf;
};

/// In closed form 2 w f' = 1 / (1 + w) - f and 2 w f'' = -1 / (1 + w)^2 - 3 f', which cancels for small w; there the
/// series f = sum (-w)^n / (2 n + 1) is used.
template <class T>
SPLAT_HD AngleRatio<T> angle_ratio(T w) {
  const T one(1.0f);
  const auto near_axis = w < T(0.2f);
  constexpr int kTerms = 12;
  T f(0.0f), df(0.0f), ddf(0.0f);
  for (int n = kTerms - 1; n >= 0; --n) {
    const float coefficient = (n % 2 ? -1.0f : 1.0f) / static_cast<float>(2 * n + 1);
    ddf = fma(ddf, w, df + df);  // Horner's rule, differentiated twice
    df = fma(df, w, f);
    f = fma(f, w, T(coefficient));
  }
  const T far_w = select(near_axis, one, w), root = sqrt(far_w), half = T(0.5f) / far_w, h = one / (one + far_w);
  const T far_f = atan_positive(root) / root;
  const T far_df = (h - far_f) * half;
  const T far_ddf = -(fma(h, h, T(3.0f) * far_df) * half);
  return {select(near_axis, f, far_f), select(near_axis, df, far_df), select(near_axis, ddf, far_ddf)};
}

SPLAT_END
