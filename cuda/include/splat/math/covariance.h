// The 2D covariance of a projected Gaussian, its inverse (the conic) and the opacity compensation.
//
// A Gaussian's axes are the columns of R(q) diag(s); the linearised camera J R_v maps them to the columns of a 2x3
// matrix T, and the covariance is S = T T^T + eps I. Working with T instead of 3x3 covariances halves the arithmetic,
// and det(T T^T) = |t0 x t1|^2 (Cauchy-Binet) has none of the cancellation of S00 S11 - S01^2: needles survive float32.
// Source: Zwicker et al., "EWA Splatting", 2002; compensation: Yu et al., "Mip-Splatting", 2024.
#pragma once

#include "splat/constants.h"
#include "splat/vec.h"

SPLAT_BEGIN

/// [[a, b], [b, c]]: a symmetric 2x2 matrix.
template <class T>
struct Sym2 {
  T a, b, c;
};

template <class T>
struct Covariance2d {
  Sym2<T> S;  // with eps on its diagonal
  T det0;     // determinant without eps
  T det;      // determinant with eps
};

template <class T>
SPLAT_HD Covariance2d<T> covariance2d(const Mat2x3<T>& t, T eps) {
  const T a = dot(t.row0, t.row0), c = dot(t.row1, t.row1);
  const Vec3<T> minors = cross(t.row0, t.row1);
  const T det0 = dot(minors, minors);
  return {{a + eps, dot(t.row0, t.row1), c + eps}, det0, det0 + eps * (a + c) + eps * eps};
}

/// dL/dT of S = T T^T + eps I, from the symmetric G = dL/dS: 2 G T.
template <class T>
SPLAT_HD Mat2x3<T> covariance2d_vjp(const Mat2x3<T>& t, Sym2<T> G) {
  const T a = G.a + G.a, b = G.b + G.b, c = G.c + G.c;
  return {a * t.row0 + b * t.row1, b * t.row0 + c * t.row1};
}

/// Q = S^-1.
template <class T>
SPLAT_HD Sym2<T> conic(const Covariance2d<T>& cov) {
  const T inverse = T(1.0f) / cov.det;
  return {cov.S.c * inverse, -(cov.S.b * inverse), cov.S.a * inverse};
}

/// dL/dS = -Q V Q of Q = S^-1, from V = dL/dQ, whose b holds half the derivative with respect to the scalar Q.b.
template <class T>
SPLAT_HD Sym2<T> conic_vjp(Sym2<T> Q, Sym2<T> V) {
  const T m00 = Q.a * V.a + Q.b * V.b, m01 = Q.a * V.b + Q.b * V.c;
  const T m10 = Q.b * V.a + Q.c * V.b, m11 = Q.b * V.b + Q.c * V.c;
  return {-(m00 * Q.a + m01 * Q.b), -(m00 * Q.b + m01 * Q.c), -(m10 * Q.b + m11 * Q.c)};
}

/// sqrt(det0 / det), by which the blur by eps lowers the peak; at least kCompensationMin.
template <class T>
SPLAT_HD T compensation(const Covariance2d<T>& cov) {
  return sqrt(max(cov.det0 / cov.det, T(kCompensationMin * kCompensationMin)));
}

/// dL/dS of rho = compensation(S), from v_rho: v_rho / (2 rho) ((1 - rho^2) Q - eps det(Q) I); 0 at the floor.
template <class T>
SPLAT_HD Sym2<T> compensation_vjp(const Covariance2d<T>& cov, Sym2<T> Q, T rho, T eps, T v_rho) {
  const auto free = cov.det0 > T(kCompensationMin * kCompensationMin) * cov.det;
  const T factor = select(free, v_rho / (rho + rho), T(0.0f));
  const T blurred = eps / cov.det;
  const T lost = blurred * (cov.S.a + cov.S.c - eps);  // 1 - rho^2, without its cancellation
  return {factor * (lost * Q.a - blurred), factor * (lost * Q.b), factor * (lost * Q.c - blurred)};
}

SPLAT_END
