// One Gaussian as one camera sees it: its splat, what projection hands on of it, and the gradients of both.
//
// With M = R(q) diag(s) and the camera's Jacobian J, T = J R_v M and the 2D covariance is S = T T^T + eps I. Backward,
// with G = dL/dS: dL/dT = 2 G T; U = dL/dT M^T gives dL/dJ = U R_v^T and dL/dR_v = J^T U; dL/dM = (J R_v)^T dL/dT;
// log-scales multiply T's columns, so theirs is <T_k, dL/dT_k>.
// A smoothing filter of standard deviation f makes scales sqrt(s_k^2 + f^2), and lowers the opacity by the root of the
// ratio of the determinants, so that the Gaussian keeps its mass.
// The unscented models have axes N = R_v M in camera space in place of T (unscented.h): dL/dM = R_v^T dL/dN.
// Source: Kerbl et al., "3D Gaussian Splatting", 2023, section 4 and appendix A; Yu et al., "Mip-Splatting", 2024,
// section 4.1.
#pragma once

#include "splat/exp.h"
#include "splat/math/camera.h"
#include "splat/math/covariance.h"
#include "splat/math/extent.h"
#include "splat/math/quat.h"
#include "splat/math/unscented.h"

SPLAT_BEGIN

template <class T>
struct Gaussian {
  Vec3<T> mean;  // world
  Quat<T> quat;
  Vec3<T> log_scale;
  T logit;
  T filter;  // f, world units; looked at only where there are filters
};

/// A Gaussian in front of a camera.
template <class T>
struct Splat {
  using Mask = decltype(T() < T());
  Vec3<T> p;            // mean in camera space
  Quat<T> unit;         // q / |q|
  T inverse_length;     // 1 / |q|
  Vec3<T> scale;        // s, filtered
  T filter_variance;    // f^2
  Mat3<T> M;
  ImagePoint<T> image;  // pixel and J
  Mat2x3<T> JR;         // J R_v
  Mat2x3<T> axes;       // T: the columns are the axes on the image, px
  Mat3<T> view_axes;    // N, of the unscented models, which have no J, JR and T
  Unscented<T> seen;    // theirs, too
  T opacity;            // filtered, before compensation
  T transparency;       // 1 - sigmoid(logit)
  Mask is_valid;        // no NaN, and a quaternion with a direction
};

template <CameraModel MODEL, class T>
SPLAT_HD Splat<T> splat_of(const Camera& camera, const Gaussian<T>& gaussian, bool has_filter) {
  Splat<T> s;
  const Mat3<T> R = broadcast<T>(camera.R);
  s.p = multiply(R, gaussian.mean) + broadcast<T>(camera.t);
  if constexpr (!is_unscented(MODEL)) s.image = to_image<MODEL>(camera, s.p);

  const T squared_length = dot(gaussian.quat, gaussian.quat);
  s.inverse_length = T(1.0f) / sqrt(squared_length);
  s.unit = scaled(s.inverse_length, gaussian.quat);
  const Vec3<T> log_scale = gaussian.log_scale;
  s.scale = {exp(log_scale.x), exp(log_scale.y), exp(log_scale.z)};
  s.opacity = T(1.0f) / (T(1.0f) + exp(-gaussian.logit));
  s.transparency = T(1.0f) - s.opacity;
  if (has_filter) {
    s.filter_variance = gaussian.filter * gaussian.filter;
    const Vec3<T> own = s.scale * s.scale, f2 = {s.filter_variance, s.filter_variance, s.filter_variance};
    const Vec3<T> whole = own + f2;
    s.scale = {sqrt(whole.x), sqrt(whole.y), sqrt(whole.z)};
    s.opacity = s.opacity * sqrt((own.x / whole.x) * (own.y / whole.y) * (own.z / whole.z));
  }
  const Mat3<T> rotated = rotation(s.unit);
  s.M = {rotated.row0 * s.scale, rotated.row1 * s.scale, rotated.row2 * s.scale};
  if constexpr (is_unscented(MODEL)) {
    s.view_axes = multiply(R, s.M);
    s.seen = unscented<MODEL == CameraModel::unscented_fisheye>(camera, s.p, s.view_axes);
    s.image.mean = s.seen.mean;
  } else {
    s.JR = multiply(s.image.jacobian, R);
    s.axes = multiply(s.JR, s.M);
  }

  // exp maps NaN to a number, so here is the last place to see it; elsewhere it reaches the outputs.
  const T parameters = log_scale.x + log_scale.y + log_scale.z;
  s.is_valid = (squared_length > T(kQuatNormMin)) & (squared_length <= T(kLargest)) & (parameters == parameters) &
               (gaussian.logit == gaussian.logit);
  if constexpr (is_unscented(MODEL)) s.is_valid = s.is_valid & s.seen.is_in_view;
  return s;
}

template <CameraModel MODEL, class T>
SPLAT_HD Covariance2d<T> covariance_of(const Splat<T>& s, T eps) {
  if constexpr (is_unscented(MODEL)) {
    return covariance2d(s.seen, eps);
  } else {
    return covariance2d(s.axes, eps);
  }
}

/// What projection hands on of a splat, but for its colour; meaningless where not visible.
template <class T>
struct Projected {
  Vec2<T> mean;  // px
  T depth;
  Sym2<T> conic;
  T opacity;
  Vec2<T> extent;  // px
  typename Splat<T>::Mask visible;
};

/// Visible is what reaches kAlphaMin somewhere on the image and is finite; the depth's range is not looked at.
template <CameraModel MODEL, class T>
SPLAT_HD Projected<T> projected(const Splat<T>& s, float eps2d, bool compensate, float width, float height) {
  const Covariance2d<T> cov = covariance_of<MODEL>(s, T(eps2d));
  Projected<T> out;
  out.mean = s.image.mean;
  out.depth = s.p.z;
  out.conic = conic(cov);
  out.opacity = compensate ? s.opacity * compensation(cov) : s.opacity;
  out.extent = tight_extent(cov.S.a, cov.S.c, out.opacity);
  const Vec2<T> mean = out.mean, extent = out.extent;
  // Finite only if each of them is.
  const T all = mean.x + mean.y + cov.det + out.conic.a + out.conic.b + out.conic.c + extent.x + extent.y;
  out.visible = s.is_valid & (cov.det > T(kDetMin)) & (out.opacity >= T(kAlphaMin)) & (abs(all) <= T(kLargest)) &
                (mean.x + extent.x > T(0.0f)) & (mean.x - extent.x < T(width)) &
                (mean.y + extent.y > T(0.0f)) & (mean.y - extent.y < T(height));
  return out;
}

/// Cotangents of what projection hands on; `conic` as of three numbers, so b's counts both of its places.
template <class T>
struct ProjectedCotangent {
  Vec2<T> mean;
  T depth;
  Vec3<T> conic;
  T opacity;
};

template <class T>
struct SplatGradient {
  Vec3<T> p;  // camera space
  Quat<T> quat;
  Vec3<T> log_scale;
  T logit;
  Mat3<T> R;  // of R_v, through the Jacobian's side of the covariance alone
};

/// The gradients of a Gaussian but for its colour's share.
template <CameraModel MODEL, class T>
SPLAT_HD SplatGradient<T> splat_vjp(const Camera& camera, const Splat<T>& s, const ProjectedCotangent<T>& v,
                                    bool has_filter, float eps2d, bool compensate) {
  const T eps(eps2d), half(0.5f);
  const Covariance2d<T> cov = covariance_of<MODEL>(s, eps);
  const Sym2<T> Q = conic(cov);
  Sym2<T> G = conic_vjp(Q, {v.conic.x, half * v.conic.y, v.conic.z});
  T v_opacity = v.opacity;
  if (compensate) {
    const T rho = compensation(cov);
    const Sym2<T> more = compensation_vjp(cov, Q, rho, eps, s.opacity * v_opacity);
    G = {G.a + more.a, G.b + more.b, G.c + more.c};
    v_opacity = rho * v_opacity;
  }
  const Mat3<T> R = broadcast<T>(camera.R);
  SplatGradient<T> g;
  Mat3<T> v_M;
  if constexpr (is_unscented(MODEL)) {
    constexpr bool kFisheye = MODEL == CameraModel::unscented_fisheye;
    const auto v_seen = unscented_vjp<kFisheye>(camera, s.p, s.view_axes, s.seen, v.mean, G);
    const Mat3<T>&N = s.view_axes, &v_N = v_seen.view_axes;
    g.p = v_seen.p;
    v_M = transposed_multiply(R, v_N);
    g.log_scale = N.row0 * v_N.row0 + N.row1 * v_N.row1 + N.row2 * v_N.row2;
    g.R = {multiply(s.M, v_N.row0), multiply(s.M, v_N.row1), multiply(s.M, v_N.row2)};
  } else {
    const Mat2x3<T> v_T = covariance2d_vjp(s.axes, G);
    const Mat2x3<T> U = {multiply(s.M, v_T.row0), multiply(s.M, v_T.row1)};
    g.p = to_image_vjp<MODEL>(camera, s.p, v.mean, {multiply(R, U.row0), multiply(R, U.row1)});
    v_M = transposed_multiply(s.JR, v_T);
    g.log_scale = s.axes.row0 * v_T.row0 + s.axes.row1 * v_T.row1;
    g.R = transposed_multiply(s.image.jacobian, U);
  }
  g.p.z = g.p.z + v.depth;
  const Quat<T> v_unit = rotation_vjp(s.unit, {v_M.row0 * s.scale, v_M.row1 * s.scale, v_M.row2 * s.scale});
  g.quat = normalized_vjp(s.unit, s.inverse_length, v_unit);
  const T v_log_opacity = v_opacity * s.opacity;
  g.logit = v_log_opacity * s.transparency;
  if (has_filter) {
    const auto filtered = [&](T v_log_scale, T scale) {
      const T share = s.filter_variance / (scale * scale);  // the filter's, of the variance
      return fma(share, v_log_opacity - v_log_scale, v_log_scale);
    };
    g.log_scale = {filtered(g.log_scale.x, s.scale.x), filtered(g.log_scale.y, s.scale.y),
                   filtered(g.log_scale.z, s.scale.z)};
  }
  return g;
}

/// What Gaussians add to the gradient of a camera's pose: dL/dR_v by rows, dL/dt and dL/d(SH offset).
template <class T>
struct PoseShare {
  Mat3<T> R;
  Vec3<T> t, offset;
};

template <class T>
SPLAT_HD PoseShare<T> pose_share(const SplatGradient<T>& g, Vec3<T> mean, Vec3<T> v_offset) {
  return {{g.R.row0 + g.p.x * mean, g.R.row1 + g.p.y * mean, g.R.row2 + g.p.z * mean}, g.p, v_offset};
}

template <class T>
struct PoseGradient {
  Mat3<T> R;
  Vec3<T> t;
};

/// dL/dR_v and dL/dt of sums of shares. SH directions start from the camera centre -R^T t, so v_offset reaches both.
template <class T>
SPLAT_HD PoseGradient<T> pose_gradient(const Camera& camera, const PoseShare<T>& sums) {
  const Vec3<T> t = broadcast<T>(camera.t);
  const Mat3<T>& R = sums.R;
  return {{R.row0 + t.x * sums.offset, R.row1 + t.y * sums.offset, R.row2 + t.z * sums.offset},
          sums.t + multiply(broadcast<T>(camera.R), sums.offset)};
}

SPLAT_END
