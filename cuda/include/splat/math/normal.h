// Normal numbers from uniform ones.
// Source: Box and Muller, "A note on the generation of random normal deviates", 1958.
#pragma once

#include "splat/exp.h"
#include "splat/vec.h"

SPLAT_BEGIN

/// The point of the unit circle at the angle h = pi (u - 1/2), doubled: cos 2h and sin 2h, absolute error <= 7e-7, from
/// sin h and cos h as minimax polynomials.
template <class T>
SPLAT_HD Vec2<T> on_circle(T u) {
  const T t = u - T(0.5f), t2 = t * t;
  T sine = fma(t2, T(0.07765941f), T(-0.59829216f));
  sine = fma(sine, t2, T(2.55007766f));
  sine = fma(sine, t2, T(-5.16771009f));
  sine = t * fma(sine, t2, T(3.14159264f));
  T cosine = fma(t2, T(0.2196968f), T(-1.33188016f));
  cosine = fma(cosine, t2, T(4.05841191f));
  cosine = fma(cosine, t2, T(-4.93479286f));
  cosine = fma(cosine, t2, T(1.0f));
  const T twice = sine + sine;
  return {fnma(twice, sine, T(1.0f)), twice * cosine};
}

/// Three independent standard normal numbers from four uniform ones in (0, 1): two points, less a coordinate.
template <class T>
SPLAT_HD Vec3<T> normals(T u0, T u1, T u2, T u3) {
  const T first = sqrt(T(-2.0f) * log(u0)), second = sqrt(T(-2.0f) * log(u2));
  const Vec2<T> point = on_circle(u1);
  return {first * point.x, first * point.y, second * on_circle(u3).x};
}

SPLAT_END
