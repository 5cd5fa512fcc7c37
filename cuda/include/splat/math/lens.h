// Lens distortion, OpenCV's: from the slopes (u, v) = (x / z, y / z) of a direction to the bent ones, of which the
// pixel is (fx u' + cx, fy v' + cy).
//
// With w = u^2 + v^2 both families are a radial factor F(w) times (u, v); the pinhole's adds tangential terms:
//   pinhole: F = (1 + k1 w + k2 w^2 + k3 w^3) / (1 + k4 w + k5 w^2 + k6 w^3)
//   fisheye: F = A (1 + k1 t + k2 t^2 + k3 t^3 + k4 t^4), A = atan(sqrt w) / sqrt w, t = w A^2 the angle's square
// Source: OpenCV's documentation of calib3d and of its fisheye module.
#pragma once

#include "splat/math/angle_ratio.h"
#include "splat/vec.h"

SPLAT_BEGIN

/// Coefficients in OpenCV's order: k1 k2 p1 p2 k3 k4 k5 k6, or of a fisheye k1 k2 k3 k4.
struct Lens {
  static constexpr int kNumbers = 9;
  float k[8];
  float limit;  // w from which the lens shows nothing: there F sqrt(w) falls again
};

template <class T>
struct Radial {
  T factor, slope;  // F and dF/dw
};

template <class T>
SPLAT_HD Radial<T> pinhole_radial(const Lens& lens, T w) {
  const T k1(lens.k[0]), k2(lens.k[1]), k3(lens.k[4]), k4(lens.k[5]), k5(lens.k[6]), k6(lens.k[7]);
  const T one(1.0f), two(2.0f), three(3.0f);
  const T top = fma(w, fma(w, fma(w, k3, k2), k1), one), v_top = fma(w, fma(w, three * k3, two * k2), k1);
  const T bottom = one / fma(w, fma(w, fma(w, k6, k5), k4), one), v_bottom = fma(w, fma(w, three * k6, two * k5), k4);
  const T factor = top * bottom;
  return {factor, bottom * (v_top - factor * v_bottom)};
}

template <class T>
SPLAT_HD Radial<T> fisheye_radial(const Lens& lens, T w) {
  const T k1(lens.k[0]), k2(lens.k[1]), k3(lens.k[2]), k4(lens.k[3]);
  const T one(1.0f), two(2.0f), three(3.0f), four(4.0f);
  const AngleRatio<T> angle = angle_ratio(w);
  const T t = w * angle.f * angle.f;
  const T bent = fma(t, fma(t, fma(t, fma(t, k4, k3), k2), k1), one);
  const T v_bent = fma(t, fma(t, fma(t, four * k4, three * k3), two * k2), k1);
  // A + 2 w A' = 1 / (1 + w), so dt/dw = A / (1 + w).
  return {angle.f * bent, angle.df * bent + angle.f * angle.f * v_bent / (one + w)};
}

template <bool FISHEYE, class T>
SPLAT_HD Radial<T> radial(const Lens& lens, T w) {
  if constexpr (FISHEYE) {
    return fisheye_radial(lens, w);
  } else {
    return pinhole_radial(lens, w);
  }
}

/// The bent slopes.
template <bool FISHEYE, class T>
SPLAT_HD Vec2<T> bend(const Lens& lens, Vec2<T> s) {
  const T uu = s.x * s.x, vv = s.y * s.y, w = uu + vv;
  const T factor = radial<FISHEYE>(lens, w).factor;
  if constexpr (FISHEYE) {
    return {s.x * factor, s.y * factor};
  } else {
    const T p1(lens.k[2]), p2(lens.k[3]), two(2.0f), twice_uv = two * s.x * s.y;
    return {fma(s.x, factor, fma(p1, twice_uv, p2 * fma(two, uu, w))),
            fma(s.y, factor, fma(p2, twice_uv, p1 * fma(two, vv, w)))};
  }
}

/// dL/d(u, v), from that of the bent slopes.
template <bool FISHEYE, class T>
SPLAT_HD Vec2<T> bend_vjp(const Lens& lens, Vec2<T> s, Vec2<T> v_bent) {
  const Radial<T> F = radial<FISHEYE>(lens, s.x * s.x + s.y * s.y);
  const T two(2.0f), v_w = two * F.slope * fma(s.x, v_bent.x, s.y * v_bent.y);
  Vec2<T> v = {fma(F.factor, v_bent.x, s.x * v_w), fma(F.factor, v_bent.y, s.y * v_w)};
  if constexpr (!FISHEYE) {
    const T p1(lens.k[2]), p2(lens.k[3]), six(6.0f);
    const T mixed_x = two * fma(p1, s.x, p2 * s.y);
    v.x = v.x + v_bent.x * fma(six * p2, s.x, two * p1 * s.y) + v_bent.y * mixed_x;
    v.y = v.y + v_bent.y * fma(six * p1, s.y, two * p2 * s.x) + v_bent.x * mixed_x;
  }
  return v;
}

SPLAT_END
