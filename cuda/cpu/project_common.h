// What both directions of the projection share on the CPU: blocks of Gaussians as columns, and their SH coefficients.
#pragma once

#include "splat/math/projection.h"
#include "splat/math/sh.h"
#include "splat/ops/project.h"
#include "splat/simd_bfloat16.h"
#include "splat/transpose.h"

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

SPLAT_BEGIN

using V = simd_float;

inline int lowest_bit(uint32_t bits) {
#if defined(_MSC_VER) && !defined(__clang__)
  unsigned long index;
  _BitScanForward(&index, bits);
  return static_cast<int>(index);
#else
  return __builtin_ctz(bits);
#endif
}

inline Camera camera_of(const ProjectParams& a, int64_t c) {
  return make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.lenses ? a.lenses + Lens::kNumbers * c : nullptr, a.width,
                     a.height);
}

/// Records of COUNT numbers as columns, from which vectors are loaded. Copying records to columns one number at a time
/// is faster than the gather instructions of x86. The pitch keeps columns off each other's cache sets.
template <int COUNT>
struct alignas(64) Columns {
  float values[COUNT][kProjectBlock + 16];

  V at(int column, int place) const { return V::load(values[column] + place); }
  Vec3<V> at3(int column, int place) const {
    return {at(column, place), at(column + 1, place), at(column + 2, place)};
  }
  void set(int column, int place, V value) { value.store(values[column] + place); }
  void set3(int column, int place, Vec3<V> value) {
    set(column, place, value.x);
    set(column + 1, place, value.y);
    set(column + 2, place, value.z);
  }

  /// Columns first, first + 1, ... from the chosen records of STRIDE floats.
  template <int STRIDE>
  void gather(int first, const float* records, const int32_t* indices, int count) {
    for (int j = 0; j < count; ++j) {
      for (int k = 0; k < STRIDE; ++k) values[first + k][j] = records[STRIDE * indices[j] + k];
    }
  }
  /// The number of columns of one place, written to a record.
  template <int STRIDE>
  void copy(int first, int place, float* record) const {
    for (int k = 0; k < STRIDE; ++k) record[k] = values[first + k][place];
  }
};

/// Repeats the last of a list's entries up to a whole number of vectors; returns how many that makes.
inline int padded(int32_t* list, int count) {
  int end = count;
  while (count > 0 && end % V::width != 0) list[end++] = list[count - 1];
  return end;
}

enum InputColumn { kMean = 0, kQuat = 3, kLogScale = 7, kLogit = 10, kFilter = 11, kInputColumns = 12 };
using Inputs = Columns<kInputColumns>;

inline void gather_inputs(const ProjectParams& a, int64_t begin, const int32_t* indices, int count, Inputs& in) {
  in.gather<3>(kMean, a.means + 3 * begin, indices, count);
  in.gather<4>(kQuat, a.quats + 4 * begin, indices, count);
  in.gather<3>(kLogScale, a.log_scales + 3 * begin, indices, count);
  in.gather<1>(kLogit, a.opacity_logits + begin, indices, count);
  if (a.filters) in.gather<1>(kFilter, a.filters + begin, indices, count);
}

inline Gaussian<V> gaussian_at(const ProjectParams& a, const Inputs& in, int place) {
  return {in.at3(kMean, place),
          {in.at(kQuat, place), in.at(kQuat + 1, place), in.at(kQuat + 2, place), in.at(kQuat + 3, place)},
          in.at3(kLogScale, place),
          in.at(kLogit, place),
          a.filters ? in.at(kFilter, place) : V(0.0f)};
}

/// Numbers between one Gaussian's coefficients and the next's.
inline int64_t sh_stride(const ProjectParams& a) { return 3 * a.sh_coefficients; }
inline int sh_used(const ProjectParams& a) { return (a.sh_degree + 1) * (a.sh_degree + 1); }
template <class Number>
inline const Number* sh_row(const ProjectParams& a, int64_t gaussian) {
  return static_cast<const Number*>(a.sh) + sh_stride(a) * gaussian;
}

/// SH coefficients of V::width Gaussians as vectors across them: number j of each Gaussian's row is numbers[j].
struct ShColumns {
  static constexpr int kSize = (3 * kMaxShCoefficients + V::width - 1) / V::width * V::width;
  V numbers[kSize];

  Vec3<V> at(int k) const { return {numbers[3 * k], numbers[3 * k + 1], numbers[3 * k + 2]}; }
  void set(int k, Vec3<V> c) {
    numbers[3 * k] = c.x;
    numbers[3 * k + 1] = c.y;
    numbers[3 * k + 2] = c.z;
  }

  /// Reads the coefficients in use of the Gaussians begin + indices[0 .. V::width - 1].
  void load(const ProjectParams& a, int64_t begin, const int32_t* indices) {
    a.half_sh ? load_of<bfloat16>(a, begin, indices) : load_of<float>(a, begin, indices);
  }

  /// Adds the first `size` numbers to the first rows. Changes the columns.
  void add_to(float* const* rows, int row_count, int size) {
    for (int j = 0; j < size; j += V::width) {
      transpose(numbers + j);
      for (int lane = 0; lane < row_count; ++lane) {
        float* row = rows[lane] + j;
        if (j + V::width <= size) {
          (V::load(row) + numbers[j + lane]).store(row);
        } else {
          float few[V::width];
          numbers[j + lane].store(few);
          for (int i = 0; j + i < size; ++i) row[i] += few[i];
        }
      }
    }
  }

 private:
  template <class Number>
  void load_of(const ProjectParams& a, int64_t begin, const int32_t* indices) {
    const int size = 3 * sh_used(a);
    const Number* rows[V::width];
    for (int lane = 0; lane < V::width; ++lane) rows[lane] = sh_row<Number>(a, begin + indices[lane]);
    for (int j = 0; j < size; j += V::width) {
      for (int lane = 0; lane < V::width; ++lane) {
        numbers[j + lane] = j + V::width <= size ? splat::load<V>(rows[lane] + j) : load_few(rows[lane] + j, size - j);
      }
      transpose(numbers + j);
    }
  }

  template <class Number>
  static V load_few(const Number* row, int count) {
    Number few[V::width] = {};
    memcpy(few, row, count * sizeof(Number));
    return splat::load<V>(few);
  }
};

constexpr int kCacheLine = 64;  // bytes

/// Asks for the coefficients of a Gaussian whose colour will be needed soon: they are most of what is read.
inline void prefetch_sh(const ProjectParams& a, int64_t gaussian) {
  const int64_t size = a.half_sh ? sizeof(bfloat16) : sizeof(float), end = 3 * size * sh_used(a);
  const char* coefficients = static_cast<const char*>(a.sh) + size * sh_stride(a) * gaussian;
  for (int64_t at = 0; at < end; at += kCacheLine) prefetch(coefficients + at);
}

SPLAT_END
