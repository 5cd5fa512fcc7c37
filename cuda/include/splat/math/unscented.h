// The unscented transform: a Gaussian on the image of a lens that bends, from the images of seven of its points.
//
// n_k are the Gaussian's axes in camera space, of the length of its standard deviations; f is the map to the image. The
// points are p and p +- h n_k, h^2 = 3 alpha^2, and d_k+- = f(p +- h n_k) - f(p). With the weights of the transform,
// written by differences so that its large weights of opposite sign cancel on paper and not in float32,
//   axes   a_k = (d_k+ - d_k-) / (2 h)      to which J n_k tends as the Gaussian shrinks
//   bends  c_k = (d_k+ + d_k-) / (2 h^2)    half the second derivatives along n_k
//   mean   f(p) + c, c = sum of c_k
//   covariance  sum of a_k a_k^T + h^2 c_k c_k^T, + (beta - alpha^2) c c^T
// The determinant is the sum of the squared minors of all these vectors, without cancellation as in covariance.h.
// Source: Wu et al., "3DGUT", 2025, section 3.2; Julier and Uhlmann, "Unscented filtering and nonlinear estimation",
// 2004. Differs: the conic made of this covariance is what is blended, not only what tiles are chosen by.
#pragma once

#include "splat/math/camera.h"
#include "splat/math/covariance.h"

SPLAT_BEGIN

constexpr float kSpread = 0.173205081f;     // h, with alpha = 0.1 and kappa = 0
constexpr float kSpreadSquared = 0.03f;     // h^2
constexpr float kShiftWeight = 2.0f - 0.01f;  // beta - alpha^2

template <class T>
struct Unscented {
  using Mask = decltype(T() < T());
  Vec2<T> mean;       // px
  Mat2x3<T> axes;     // columns a_k, px
  Mat2x3<T> bends;    // columns c_k, px
  Vec2<T> shift;      // c, px
  Mask is_in_view;    // all points in front of the lens and in its field; one of them on the image, or not far off
};

/// One of the points on the image.
template <bool FISHEYE, class T>
struct SigmaPoint {
  Vec2<T> slopes, bent;
  T inverse_z;

  /// The point p, or p + offset where `from` is p: its slopes differ by (offset - slopes offset_z) / z.
  SPLAT_HD SigmaPoint(const Camera& camera, Vec3<T> p) : inverse_z(T(1.0f) / p.z) {
    slopes = {p.x * inverse_z, p.y * inverse_z};
    bent = bend<FISHEYE>(camera.lens, slopes);
  }
  SPLAT_HD SigmaPoint(const Camera& camera, const SigmaPoint& from, T z, Vec3<T> offset) {
    inverse_z = T(1.0f) / (z + offset.z);
    slopes = {fma(fnma(from.slopes.x, offset.z, offset.x), inverse_z, from.slopes.x),
              fma(fnma(from.slopes.y, offset.z, offset.y), inverse_z, from.slopes.y)};
    bent = bend<FISHEYE>(camera.lens, slopes);
  }

  SPLAT_HD auto is_in_field(const Camera& camera) const {
    return (inverse_z > T(0.0f)) & (fma(slopes.x, slopes.x, slopes.y * slopes.y) < T(camera.lens.limit));
  }
  SPLAT_HD auto is_near_image(const Camera& camera) const {
    return (bent.x > T(camera.min_u)) & (bent.x < T(camera.max_u)) & (bent.y > T(camera.min_v)) &
           (bent.y < T(camera.max_v));
  }
  /// J^T v: dL/d(the point in camera space).
  SPLAT_HD Vec3<T> vjp(const Camera& camera, Vec2<T> v) const {
    const Vec2<T> g = bend_vjp<FISHEYE>(camera.lens, slopes, {T(camera.fx) * v.x, T(camera.fy) * v.y});
    return {g.x * inverse_z, g.y * inverse_z, -(fma(slopes.x, g.x, slopes.y * g.y) * inverse_z)};
  }
};

template <class T>
SPLAT_HD Vec3<T> column(const Mat3<T>& A, int k) {
  return k == 0   ? Vec3<T>{A.row0.x, A.row1.x, A.row2.x}
         : k == 1 ? Vec3<T>{A.row0.y, A.row1.y, A.row2.y}
                  : Vec3<T>{A.row0.z, A.row1.z, A.row2.z};
}

/// The Gaussian at p with axes n_k, the columns of `view_axes`.
template <bool FISHEYE, class T>
SPLAT_HD Unscented<T> unscented(const Camera& camera, Vec3<T> p, const Mat3<T>& view_axes) {
  using Point = SigmaPoint<FISHEYE, T>;
  const T fx(camera.fx), fy(camera.fy), first(0.5f / kSpread), second(0.5f / kSpreadSquared);
  const Point centre(camera, p);
  auto in_field = centre.is_in_field(camera), near_image = centre.is_near_image(camera);
  Vec2<T> a[3], c[3];
  for (int k = 0; k < 3; ++k) {
    const Vec3<T> offset = T(kSpread) * column(view_axes, k);
    const Point plus(camera, centre, p.z, offset), minus(camera, centre, p.z, T(-1.0f) * offset);
    in_field = in_field & plus.is_in_field(camera) & minus.is_in_field(camera);
    near_image = near_image | plus.is_near_image(camera) | minus.is_near_image(camera);
    const Vec2<T> forth = {plus.bent.x - centre.bent.x, plus.bent.y - centre.bent.y};
    const Vec2<T> back = {minus.bent.x - centre.bent.x, minus.bent.y - centre.bent.y};
    a[k] = {fx * first * (forth.x - back.x), fy * first * (forth.y - back.y)};
    c[k] = {fx * second * (forth.x + back.x), fy * second * (forth.y + back.y)};
  }
  Unscented<T> out;
  out.axes = {{a[0].x, a[1].x, a[2].x}, {a[0].y, a[1].y, a[2].y}};
  out.bends = {{c[0].x, c[1].x, c[2].x}, {c[0].y, c[1].y, c[2].y}};
  out.shift = {c[0].x + c[1].x + c[2].x, c[0].y + c[1].y + c[2].y};
  out.mean = {fma(fx, centre.bent.x, T(camera.cx)) + out.shift.x, fma(fy, centre.bent.y, T(camera.cy)) + out.shift.y};
  out.is_in_view = in_field & near_image;
  return out;
}

template <class T>
SPLAT_HD Covariance2d<T> covariance2d(const Unscented<T>& u, T eps) {
  const T h2(kSpreadSquared), weight(kShiftWeight);
  const Mat2x3<T>&t = u.axes, &b = u.bends;
  const Vec2<T> s = u.shift;
  const T a = dot(t.row0, t.row0) + fma(h2, dot(b.row0, b.row0), weight * s.x * s.x);
  const T c = dot(t.row1, t.row1) + fma(h2, dot(b.row1, b.row1), weight * s.y * s.y);
  const T mixed = dot(t.row0, t.row1) + fma(h2, dot(b.row0, b.row1), weight * s.x * s.y);
  /// The squared minors of all columns of A, each with (x, y).
  const auto minors = [](const Mat2x3<T>& A, T x, T y) {
    const Vec3<T> m = y * A.row0 - x * A.row1;
    return dot(m, m);
  };
  const Vec3<T> of_axes = cross(t.row0, t.row1), of_bends = cross(b.row0, b.row1);
  const T with_bends = minors(t, b.row0.x, b.row1.x) + minors(t, b.row0.y, b.row1.y) + minors(t, b.row0.z, b.row1.z);
  const T with_shift = fma(h2, minors(b, s.x, s.y), minors(t, s.x, s.y));
  const T det0 = dot(of_axes, of_axes) + fma(h2, fma(h2, dot(of_bends, of_bends), with_bends), weight * with_shift);
  return {{a + eps, mixed, c + eps}, det0, det0 + eps * (a + c) + eps * eps};
}

template <class T>
struct UnscentedGradient {
  Vec3<T> p;
  Mat3<T> view_axes;
};

/// From dL/dmean and the symmetric dL/dcovariance: each point's share goes back through the map's own gradient there.
template <bool FISHEYE, class T>
SPLAT_HD UnscentedGradient<T> unscented_vjp(const Camera& camera, Vec3<T> p, const Mat3<T>& view_axes,
                                            const Unscented<T>& u, Vec2<T> v_mean, Sym2<T> G) {
  using Point = SigmaPoint<FISHEYE, T>;
  const T h(kSpread), first(0.5f / kSpread), second(0.5f / kSpreadSquared);
  const Mat2x3<T> v_axes = covariance2d_vjp(u.axes, G), of_bends = covariance2d_vjp(u.bends, G);
  const T weight(2.0f * kShiftWeight), h2(kSpreadSquared);
  // What every c_k shares: it moves the mean and adds to c.
  const Vec2<T> v_shift = {v_mean.x + weight * fma(G.a, u.shift.x, G.b * u.shift.y),
                           v_mean.y + weight * fma(G.b, u.shift.x, G.c * u.shift.y)};
  const Vec2<T> v_a[3] = {{v_axes.row0.x, v_axes.row1.x}, {v_axes.row0.y, v_axes.row1.y},
                          {v_axes.row0.z, v_axes.row1.z}};
  const Vec2<T> v_c[3] = {{fma(h2, of_bends.row0.x, v_shift.x), fma(h2, of_bends.row1.x, v_shift.y)},
                          {fma(h2, of_bends.row0.y, v_shift.x), fma(h2, of_bends.row1.y, v_shift.y)},
                          {fma(h2, of_bends.row0.z, v_shift.x), fma(h2, of_bends.row1.z, v_shift.y)}};
  const Point centre(camera, p);
  Vec2<T> v_centre = v_mean;
  UnscentedGradient<T> g = {};
  Vec3<T> v_n[3];
  for (int k = 0; k < 3; ++k) {
    const Vec3<T> offset = h * column(view_axes, k);
    const Vec2<T> odd = {first * v_a[k].x, first * v_a[k].y}, even = {second * v_c[k].x, second * v_c[k].y};
    v_centre = {v_centre.x - (even.x + even.x), v_centre.y - (even.y + even.y)};
    const Vec3<T> plus = Point(camera, centre, p.z, offset).vjp(camera, {even.x + odd.x, even.y + odd.y});
    const Vec3<T> minus =
        Point(camera, centre, p.z, T(-1.0f) * offset).vjp(camera, {even.x - odd.x, even.y - odd.y});
    g.p = k == 0 ? plus + minus : g.p + (plus + minus);
    v_n[k] = h * (plus - minus);
  }
  g.p = g.p + centre.vjp(camera, v_centre);
  g.view_axes = {{v_n[0].x, v_n[1].x, v_n[2].x}, {v_n[0].y, v_n[1].y, v_n[2].y}, {v_n[0].z, v_n[1].z, v_n[2].z}};
  return g;
}

SPLAT_END
