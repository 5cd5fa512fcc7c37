// Small vectors and matrices of a number type. Matrices are named by rows x columns and stored by rows.
#pragma once

#include "splat/macros.h"
#include "splat/scalar.h"

SPLAT_BEGIN

template <class T>
struct Vec2 {
  T x, y;
};

template <class T>
struct Vec3 {
  T x, y, z;
};

template <class T>
struct Mat2x3 {
  Vec3<T> row0, row1;
};

template <class T>
struct Mat3 {
  Vec3<T> row0, row1, row2;
};

template <class T>
SPLAT_HD Vec3<T> operator+(Vec3<T> a, Vec3<T> b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}

template <class T>
SPLAT_HD Vec3<T> operator-(Vec3<T> a, Vec3<T> b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}

template <class T>
SPLAT_HD Vec3<T> operator*(T s, Vec3<T> a) {
  return {s * a.x, s * a.y, s * a.z};
}

/// Product by components: with a row of a matrix, scales its columns.
template <class T>
SPLAT_HD Vec3<T> operator*(Vec3<T> a, Vec3<T> b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z};
}

template <class T>
SPLAT_HD T dot(Vec3<T> a, Vec3<T> b) {
  return fma(a.x, b.x, fma(a.y, b.y, a.z * b.z));
}

template <class T>
SPLAT_HD Vec3<T> cross(Vec3<T> a, Vec3<T> b) {
  return {fma(a.y, b.z, -(a.z * b.y)), fma(a.z, b.x, -(a.x * b.z)), fma(a.x, b.y, -(a.y * b.x))};
}

/// A v.
template <class T>
SPLAT_HD Vec3<T> multiply(const Mat3<T>& A, Vec3<T> v) {
  return {dot(A.row0, v), dot(A.row1, v), dot(A.row2, v)};
}

/// v^T A, a row: the sum of A's rows with weights v.
template <class T>
SPLAT_HD Vec3<T> row_times(Vec3<T> v, const Mat3<T>& A) {
  return {fma(v.x, A.row0.x, fma(v.y, A.row1.x, v.z * A.row2.x)),
          fma(v.x, A.row0.y, fma(v.y, A.row1.y, v.z * A.row2.y)),
          fma(v.x, A.row0.z, fma(v.y, A.row1.z, v.z * A.row2.z))};
}

/// A B.
template <class T>
SPLAT_HD Mat3<T> multiply(const Mat3<T>& A, const Mat3<T>& B) {
  return {row_times(A.row0, B), row_times(A.row1, B), row_times(A.row2, B)};
}

/// A B.
template <class T>
SPLAT_HD Mat2x3<T> multiply(const Mat2x3<T>& A, const Mat3<T>& B) {
  return {row_times(A.row0, B), row_times(A.row1, B)};
}

/// A^T B, a sum of outer products.
template <class T>
SPLAT_HD Mat3<T> transposed_multiply(const Mat3<T>& A, const Mat3<T>& B) {
  return {A.row0.x * B.row0 + A.row1.x * B.row1 + A.row2.x * B.row2,
          A.row0.y * B.row0 + A.row1.y * B.row1 + A.row2.y * B.row2,
          A.row0.z * B.row0 + A.row1.z * B.row1 + A.row2.z * B.row2};
}
template <class T>
SPLAT_HD Mat3<T> transposed_multiply(const Mat2x3<T>& A, const Mat2x3<T>& B) {
  return {A.row0.x * B.row0 + A.row1.x * B.row1, A.row0.y * B.row0 + A.row1.y * B.row1,
          A.row0.z * B.row0 + A.row1.z * B.row1};
}

SPLAT_END
