// Quaternions (w, x, y, z) and their rotations.
#pragma once

#include "splat/vec.h"

SPLAT_BEGIN

template <class T>
struct Quat {
  T w, x, y, z;
};

template <class T>
SPLAT_HD T dot(Quat<T> a, Quat<T> b) {
  return fma(a.w, b.w, fma(a.x, b.x, fma(a.y, b.y, a.z * b.z)));
}

template <class T>
SPLAT_HD Quat<T> scaled(T s, Quat<T> q) {
  return {s * q.w, s * q.x, s * q.y, s * q.z};
}

/// dL/dq of unit = q / |q|: what remains of dL/dunit across unit, over |q|.
template <class T>
SPLAT_HD Quat<T> normalized_vjp(Quat<T> unit, T inverse_length, Quat<T> v_unit) {
  const T along = dot(unit, v_unit);
  return {inverse_length * (v_unit.w - along * unit.w), inverse_length * (v_unit.x - along * unit.x),
          inverse_length * (v_unit.y - along * unit.y), inverse_length * (v_unit.z - along * unit.z)};
}

/// The rotation of a unit quaternion.
template <class T>
SPLAT_HD Mat3<T> rotation(Quat<T> q) {
  const T one(1.0f), two(2.0f);
  const T xx = q.x * q.x, yy = q.y * q.y, zz = q.z * q.z;
  const T xy = q.x * q.y, xz = q.x * q.z, yz = q.y * q.z;
  const T wx = q.w * q.x, wy = q.w * q.y, wz = q.w * q.z;
  return {{one - two * (yy + zz), two * (xy - wz), two * (xz + wy)},
          {two * (xy + wz), one - two * (xx + zz), two * (yz - wx)},
          {two * (xz - wy), two * (yz + wx), one - two * (xx + yy)}};
}

/// dL/dq of rotation(q), from V = dL/dR.
template <class T>
SPLAT_HD Quat<T> rotation_vjp(Quat<T> q, const Mat3<T>& V) {
  const T two(2.0f);
  const T a32 = V.row2.y - V.row1.z, a13 = V.row0.z - V.row2.x, a21 = V.row1.x - V.row0.y;
  const T s21 = V.row1.x + V.row0.y, s31 = V.row2.x + V.row0.z, s32 = V.row2.y + V.row1.z;
  return {two * (q.x * a32 + q.y * a13 + q.z * a21),
          two * (q.y * s21 + q.z * s31 + q.w * a32 - two * q.x * (V.row1.y + V.row2.z)),
          two * (q.x * s21 + q.z * s32 + q.w * a13 - two * q.y * (V.row0.x + V.row2.z)),
          two * (q.x * s31 + q.y * s32 + q.w * a21 - two * q.z * (V.row0.x + V.row1.y))};
}

SPLAT_END
