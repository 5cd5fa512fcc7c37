// Camera models: where a point of camera space falls on the image, and the Jacobian of that map.
//
// p = (x, y, z) is in camera space, OpenCV axes, z > 0; u = x / z and v = y / z are its slopes.
#pragma once

#include "splat/constants.h"
#include "splat/math/angle_ratio.h"
#include "splat/math/lens.h"
#include "splat/vec.h"

namespace splat {

/// The order of splat.cameras.CAMERA_MODELS; then those whose Gaussians go through the unscented transform.
enum class CameraModel : int { pinhole, ortho, fisheye, unscented_pinhole, unscented_fisheye };

constexpr bool is_unscented(CameraModel model) { return model >= CameraModel::unscented_pinhole; }

}  // namespace splat

SPLAT_BEGIN

constexpr float kLargest = 3.402823466e38f;  // of the finite floats

struct Camera {
  Mat3<float> R;                            // camera from world
  Vec3<float> t;
  Vec3<float> minus_centre;                 // R^T t
  float fx, fy, cx, cy;                     // px
  float min_u, max_u, min_v, max_v;         // slopes, bent by the lens, of the image with kClampMargin around it
  Lens lens;                                // looked at only by the unscented models
};

/// From viewmat [4, 4] and K [3, 3]; lens [Lens::kNumbers], or null for one that does not bend.
SPLAT_HD Camera make_camera(const float* viewmat, const float* K, const float* lens, float width, float height) {
  Camera c;
  const float* m = viewmat;
  c.R = {{m[0], m[1], m[2]}, {m[4], m[5], m[6]}, {m[8], m[9], m[10]}};
  c.t = {m[3], m[7], m[11]};
  c.minus_centre = row_times(c.t, c.R);
  c.fx = K[0];
  c.fy = K[4];
  c.cx = K[2];
  c.cy = K[5];
  c.min_u = (-kClampMargin * width - c.cx) / c.fx;
  c.max_u = ((1.0f + kClampMargin) * width - c.cx) / c.fx;
  c.min_v = (-kClampMargin * height - c.cy) / c.fy;
  c.max_v = ((1.0f + kClampMargin) * height - c.cy) / c.fy;
  for (int i = 0; i < 8; ++i) c.lens.k[i] = lens ? lens[i] : 0.0f;
  c.lens.limit = lens ? lens[8] : kLargest;
  return c;
}

template <class T>
SPLAT_HD Vec3<T> broadcast(Vec3<float> a) {
  return {T(a.x), T(a.y), T(a.z)};
}

template <class T>
SPLAT_HD Mat3<T> broadcast(const Mat3<float>& A) {
  return {broadcast<T>(A.row0), broadcast<T>(A.row1), broadcast<T>(A.row2)};
}

template <class T>
struct ImagePoint {
  Vec2<T> mean;        // px
  Mat2x3<T> jacobian;  // d mean / d p
};

/// Pixel = (fx u + cx, fy v + cy). The Jacobian uses slopes clamped to 15 % beyond the image: the linearisation
/// explodes for what is far outside, and would smear it over the whole image.
template <class T>
SPLAT_HD ImagePoint<T> pinhole(const Camera& c, Vec3<T> p) {
  const T zero(0.0f), fx(c.fx), fy(c.fy), inverse_z = T(1.0f) / p.z;
  const T u = p.x * inverse_z, v = p.y * inverse_z;
  const T held_u = min(max(u, T(c.min_u)), T(c.max_u)), held_v = min(max(v, T(c.min_v)), T(c.max_v));
  return {{fma(fx, u, T(c.cx)), fma(fy, v, T(c.cy))},
          {{fx * inverse_z, zero, -(fx * inverse_z * held_u)}, {zero, fy * inverse_z, -(fy * inverse_z * held_v)}}};
}

/// dL/dp of pinhole: by u, v and 1/z; where a slope is held, the Jacobian's last column depends on 1/z alone.
template <class T>
SPLAT_HD Vec3<T> pinhole_vjp(const Camera& c, Vec3<T> p, Vec2<T> v_mean, const Mat2x3<T>& v_J) {
  const T zero(0.0f), fx(c.fx), fy(c.fy), inverse_z = T(1.0f) / p.z;
  const T u = p.x * inverse_z, v = p.y * inverse_z;
  const T held_u = min(max(u, T(c.min_u)), T(c.max_u)), held_v = min(max(v, T(c.min_v)), T(c.max_v));
  const T slope_x = fx * inverse_z * v_J.row0.z, slope_y = fy * inverse_z * v_J.row1.z;
  const T v_u = fx * v_mean.x - select((u >= T(c.min_u)) & (u <= T(c.max_u)), slope_x, zero);
  const T v_v = fy * v_mean.y - select((v >= T(c.min_v)) & (v <= T(c.max_v)), slope_y, zero);
  const T v_inverse_z = fx * (v_J.row0.x - held_u * v_J.row0.z) + fy * (v_J.row1.y - held_v * v_J.row1.z) +
                        v_u * p.x + v_v * p.y;
  return {v_u * inverse_z, v_v * inverse_z, -(inverse_z * inverse_z * v_inverse_z)};
}

/// Pixel = (fx x + cx, fy y + cy): fx and fy are pixels per world unit.
template <class T>
SPLAT_HD ImagePoint<T> ortho(const Camera& c, Vec3<T> p) {
  const T zero(0.0f), fx(c.fx), fy(c.fy);
  return {{fma(fx, p.x, T(c.cx)), fma(fy, p.y, T(c.cy))}, {{fx, zero, zero}, {zero, fy, zero}}};
}

template <class T>
SPLAT_HD Vec3<T> ortho_vjp(const Camera& c, Vec2<T> v_mean) {
  return {T(c.fx) * v_mean.x, T(c.fy) * v_mean.y, T(0.0f)};
}

/// OpenCV's equidistant fisheye without distortion: the distance from the principal point is the focal length times the
/// angle from the axis. Pixel = (fx u f(w) + cx, fy v f(w) + cy), w = u^2 + v^2; f + 2 w f' = 1 / (1 + w) gives the
/// Jacobian's last column.
template <class T>
SPLAT_HD ImagePoint<T> fisheye(const Camera& c, Vec3<T> p) {
  const T one(1.0f), two(2.0f), inverse_z = one / p.z, u = p.x * inverse_z, v = p.y * inverse_z;
  const T w = fma(u, u, v * v), h = one / (one + w);
  const AngleRatio<T> ratio = angle_ratio(w);
  const T fx = T(c.fx) * inverse_z, fy = T(c.fy) * inverse_z, mixed = two * u * v * ratio.df;
  return {{fma(T(c.fx) * u, ratio.f, T(c.cx)), fma(T(c.fy) * v, ratio.f, T(c.cy))},
          {{fx * fma(two * u * u, ratio.df, ratio.f), fx * mixed, -(fx * u * h)},
           {fy * mixed, fy * fma(two * v * v, ratio.df, ratio.f), -(fy * v * h)}}};
}

/// dL/dp of fisheye, by u, v, 1/z and w.
template <class T>
SPLAT_HD Vec3<T> fisheye_vjp(const Camera& c, Vec3<T> p, Vec2<T> v_mean, const Mat2x3<T>& v_J) {
  const T one(1.0f), two(2.0f), inverse_z = one / p.z, u = p.x * inverse_z, v = p.y * inverse_z;
  const T w = fma(u, u, v * v), h = one / (one + w);
  const AngleRatio<T> ratio = angle_ratio(w);
  // dL/d(J z), whose entries depend on u and v alone.
  const Vec3<T> j0 = T(c.fx) * v_J.row0, j1 = T(c.fy) * v_J.row1;
  const T mixed = two * (j0.y + j1.x), gx = T(c.fx) * v_mean.x, gy = T(c.fy) * v_mean.y;
  const T v_df = two * (j0.x * u * u + j1.y * v * v) + mixed * u * v;
  const T v_h = -(j0.z * u + j1.z * v);
  const T v_f_of_J = j0.x + j1.y;
  const T v_w = (gx * u + gy * v) * ratio.df + inverse_z * (v_f_of_J * ratio.df + v_df * ratio.ddf - v_h * h * h);
  const T four_df = T(4.0f) * ratio.df, mixed_df = mixed * ratio.df;
  const T v_u = gx * ratio.f + inverse_z * (j0.x * u * four_df + mixed_df * v - j0.z * h) + two * u * v_w;
  const T v_v = gy * ratio.f + inverse_z * (j1.y * v * four_df + mixed_df * u - j1.z * h) + two * v * v_w;
  const T v_inverse_z = v_f_of_J * ratio.f + v_df * ratio.df + v_h * h + v_u * p.x + v_v * p.y;
  return {v_u * inverse_z, v_v * inverse_z, -(inverse_z * inverse_z * v_inverse_z)};
}

/// The map of a camera model.
template <CameraModel M, class T>
SPLAT_HD ImagePoint<T> to_image(const Camera& c, Vec3<T> p) {
  if constexpr (M == CameraModel::pinhole) return pinhole(c, p);
  if constexpr (M == CameraModel::ortho) return ortho(c, p);
  if constexpr (M == CameraModel::fisheye) return fisheye(c, p);
}

/// dL/dp of to_image, from the gradients of the pixel and of the Jacobian.
template <CameraModel M, class T>
SPLAT_HD Vec3<T> to_image_vjp(const Camera& c, Vec3<T> p, Vec2<T> v_mean, const Mat2x3<T>& v_J) {
  if constexpr (M == CameraModel::pinhole) return pinhole_vjp(c, p, v_mean, v_J);
  if constexpr (M == CameraModel::ortho) return ortho_vjp(c, v_mean);
  if constexpr (M == CameraModel::fisheye) return fisheye_vjp(c, p, v_mean, v_J);
}

SPLAT_END
