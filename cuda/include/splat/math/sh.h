// Real spherical harmonics up to degree 4: basis functions and their gradient.
//
// Y_lm = A_lm(z) cos_m for m >= 0 and A_l|m|(z) sin_|m| for m < 0, where cos_m + i sin_m = (x + i y)^m. The 15 factors
// A_lm are polynomials in z, so both the basis and its gradient are short loops.
// Source: Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013; signs and order (l^2 + l + m) of 3DGS.
#pragma once

#include "splat/constants.h"
#include "splat/vec.h"

SPLAT_BEGIN

constexpr int kMaxShDegree = 4;
constexpr int kMaxShCoefficients = 25;

/// (x + i y)^m for m = 0 .. degree.
template <class T>
struct ShPowers {
  T cos[kMaxShDegree + 1], sin[kMaxShDegree + 1];
};

template <class T>
SPLAT_HD ShPowers<T> sh_powers(Vec3<T> d, int degree) {
  ShPowers<T> p;
  p.cos[0] = T(1.0f);
  p.sin[0] = T(0.0f);
  for (int m = 1; m <= degree; ++m) {
    p.cos[m] = d.x * p.cos[m - 1] - d.y * p.sin[m - 1];
    p.sin[m] = d.x * p.sin[m - 1] + d.y * p.cos[m - 1];
  }
  return p;
}

/// Place of A_lm among the factors.
SPLAT_HD constexpr int sh_factor(int l, int m) { return l * (l + 1) / 2 + m; }

/// A_lm(z), and dA_lm/dz where `slopes` is given, up to a degree.
template <class T>
SPLAT_HD void sh_factors(T z, int degree, T* A, T* slopes) {
  const T zero(0.0f), zz = z * z;
  const auto set = [&](int index, T value, T slope) {
    A[index] = value;
    if (slopes) slopes[index] = slope;
  };
  set(sh_factor(0, 0), T(0.28209479177387814f), zero);
  if (degree < 1) return;
  set(sh_factor(1, 0), T(0.4886025119029199f) * z, T(0.4886025119029199f));
  set(sh_factor(1, 1), T(-0.4886025119029199f), zero);
  if (degree < 2) return;
  set(sh_factor(2, 0), fma(T(0.9461746957575601f), zz, T(-0.31539156525252005f)), T(1.8923493915151202f) * z);
  set(sh_factor(2, 1), T(-1.0925484305920792f) * z, T(-1.0925484305920792f));
  set(sh_factor(2, 2), T(0.5462742152960396f), zero);
  if (degree < 3) return;
  set(sh_factor(3, 0), z * fma(T(1.865881662950577f), zz, T(-1.119528997770346f)),
      fma(T(5.597644988851731f), zz, T(-1.119528997770346f)));
  set(sh_factor(3, 1), fma(T(-2.285228997322329f), zz, T(0.4570457994644658f)), T(-4.570457994644658f) * z);
  set(sh_factor(3, 2), T(1.445305721320277f) * z, T(1.445305721320277f));
  set(sh_factor(3, 3), T(-0.5900435899266435f), zero);
  if (degree < 4) return;
  set(sh_factor(4, 0), fma(fma(T(3.7024941420321507f), zz, T(-3.1735664074561294f)), zz, T(0.31735664074561293f)),
      z * fma(T(14.809976568128603f), zz, T(-6.347132814912259f)));
  set(sh_factor(4, 1), z * fma(T(-4.683325804901025f), zz, T(2.007139630671868f)),
      fma(T(-14.049977414703075f), zz, T(2.007139630671868f)));
  set(sh_factor(4, 2), fma(T(3.31161143515146f), zz, T(-0.47308734787878f)), T(6.62322287030292f) * z);
  set(sh_factor(4, 3), T(-1.770130769779931f) * z, T(-1.770130769779931f));
  set(sh_factor(4, 4), T(0.6258357354491763f), zero);
}

/// Y_k(d) for k < (degree + 1)^2, d of unit length.
template <class T>
SPLAT_HD void sh_basis(Vec3<T> d, int degree, T* Y) {
  T A[sh_factor(kMaxShDegree, kMaxShDegree) + 1];
  sh_factors<T>(d.z, degree, A, nullptr);
  const ShPowers<T> p = sh_powers(d, degree);
  for (int l = 0; l <= degree; ++l) {
    T* band = Y + l * l + l;
    band[0] = A[sh_factor(l, 0)];
    for (int m = 1; m <= l; ++m) {
      band[m] = A[sh_factor(l, m)] * p.cos[m];
      band[-m] = A[sh_factor(l, m)] * p.sin[m];
    }
  }
}

/// dL/dd of the basis, from v_Y = dL/dY; not yet made tangent to the sphere.
/// d cos_m/dx = m cos_(m-1), d cos_m/dy = -m sin_(m-1), d sin_m/dx = m sin_(m-1), d sin_m/dy = m cos_(m-1).
template <class T>
SPLAT_HD Vec3<T> sh_basis_vjp(Vec3<T> d, int degree, const T* v_Y) {
  T A[sh_factor(kMaxShDegree, kMaxShDegree) + 1], slopes[sh_factor(kMaxShDegree, kMaxShDegree) + 1];
  sh_factors<T>(d.z, degree, A, slopes);
  const ShPowers<T> p = sh_powers(d, degree);
  Vec3<T> v = {T(0.0f), T(0.0f), T(0.0f)};
  for (int l = 1; l <= degree; ++l) v.z = fma(v_Y[l * l + l], slopes[sh_factor(l, 0)], v.z);
  for (int m = 1; m <= degree; ++m) {
    T v_cos(0.0f), v_sin(0.0f);
    for (int l = m; l <= degree; ++l) {
      const T plus = v_Y[l * l + l + m], minus = v_Y[l * l + l - m];
      v_cos = fma(plus, A[sh_factor(l, m)], v_cos);
      v_sin = fma(minus, A[sh_factor(l, m)], v_sin);
      v.z = fma(slopes[sh_factor(l, m)], fma(plus, p.cos[m], minus * p.sin[m]), v.z);
    }
    const T order(static_cast<float>(m));
    v.x = fma(order, fma(v_cos, p.cos[m - 1], v_sin * p.sin[m - 1]), v.x);
    v.y = fma(order, fma(v_sin, p.cos[m - 1], -(v_cos * p.sin[m - 1])), v.y);
  }
  return v;
}

/// offset / |offset|, and 1 / |offset|; an offset of no length gives no direction, but nothing infinite either.
template <class T>
SPLAT_HD Vec3<T> sh_direction(Vec3<T> offset, T& inverse_length) {
  inverse_length = T(1.0f) / sqrt(max(dot(offset, offset), T(kDirectionMin)));
  return inverse_length * offset;
}

/// dL/doffset of sh_direction, from dL/ddirection.
template <class T>
SPLAT_HD Vec3<T> sh_direction_vjp(Vec3<T> offset, Vec3<T> direction, T inverse_length, Vec3<T> v_direction) {
  const T along = select(dot(offset, offset) > T(kDirectionMin), dot(direction, v_direction), T(0.0f));
  return inverse_length * (v_direction - along * direction);
}

SPLAT_END
