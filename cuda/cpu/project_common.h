// What both directions of the projection share on the CPU: groups of Gaussians as vectors, and the splat they make.
#pragma once

#include "splat/exp.h"
#include "splat/math/camera.h"
#include "splat/math/covariance.h"
#include "splat/math/quat.h"
#include "splat/math/sh.h"
#include "splat/ops/project.h"
#include "splat/simd.h"

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

SPLAT_BEGIN

using V = simd_float;
constexpr float kLargest = 3.402823466e38f;

inline int lowest_bit(uint32_t bits) {
#if defined(_MSC_VER) && !defined(__clang__)
  unsigned long index;
  _BitScanForward(&index, bits);
  return static_cast<int>(index);
#else
  return __builtin_ctz(bits);
#endif
}

/// Up to V::width Gaussians, by their index in the block. Lanes beyond the count repeat the last one.
struct Group {
  int32_t indices[V::width];
  int count;

  uint32_t bits() const { return (1u << count) - 1; }
};

inline Group group_of(const int32_t* list, int remaining) {
  Group group;
  group.count = remaining < V::width ? remaining : V::width;
  for (int i = 0; i < V::width; ++i) group.indices[i] = list[i < group.count ? i : group.count - 1];
  return group;
}

inline Group consecutive_group(int first, int end) {
  Group group;
  group.count = end - first < V::width ? end - first : V::width;
  for (int i = 0; i < V::width; ++i) group.indices[i] = first + (i < group.count ? i : group.count - 1);
  return group;
}

/// Component `offset` of records of STRIDE floats.
template <int STRIDE>
inline V gather(const float* base, const Group& group, int offset) {
  int32_t places[V::width];
  for (int i = 0; i < V::width; ++i) places[i] = STRIDE * group.indices[i] + offset;
  return V::gather(base, places);
}

inline Vec2<V> gather2(const float* base, const Group& group) {
  return {gather<2>(base, group, 0), gather<2>(base, group, 1)};
}

inline Vec3<V> gather3(const float* base, const Group& group) {
  return {gather<3>(base, group, 0), gather<3>(base, group, 1), gather<3>(base, group, 2)};
}

/// STRIDE vectors to be written as records.
template <int STRIDE>
struct Columns {
  V columns[STRIDE];
};

/// Writes the records of the lanes in `bits`.
template <int STRIDE>
inline void scatter(const Columns<STRIDE>& values, const Group& group, uint32_t bits, float* base) {
  float lanes[STRIDE][V::width];
  for (int j = 0; j < STRIDE; ++j) values.columns[j].store(lanes[j]);
  for (; bits; bits &= bits - 1) {
    const int lane = lowest_bit(bits);
    float* record = base + STRIDE * group.indices[lane];
    for (int j = 0; j < STRIDE; ++j) record[j] = lanes[j][lane];
  }
}

/// A group of Gaussians in front of a camera. The covariance of a lane is T T^T with T = J R_v M, M = R(q) diag(s).
struct Splat {
  Vec3<V> mean;            // world
  Vec3<V> p;               // camera space
  Quat<V> unit;            // q / |q|
  V inverse_length;        // 1 / |q|
  Vec3<V> scale;           // s
  Mat3<V> M;
  ImagePoint<V> image;     // pixel and J
  Mat2x3<V> JR;            // J R_v
  Mat2x3<V> T;
  V opacity;               // before compensation
  V::mask is_valid;        // neither NaN nor a quaternion without direction
};

template <CameraModel MODEL>
SPLAT_HD Splat splat_of(const ProjectParams& a, const Camera& camera, const Group& group, int64_t begin) {
  Splat s;
  const Mat3<V> R = broadcast<V>(camera.R);
  s.mean = gather3(a.means + 3 * begin, group);
  s.p = multiply(R, s.mean) + broadcast<V>(camera.t);
  s.image = to_image<MODEL>(camera, s.p);

  const float* quats = a.quats + 4 * begin;
  const Quat<V> q = {gather<4>(quats, group, 0), gather<4>(quats, group, 1), gather<4>(quats, group, 2),
                     gather<4>(quats, group, 3)};
  const V squared_length = dot(q, q);
  s.inverse_length = V(1.0f) / sqrt(squared_length);
  s.unit = scaled(s.inverse_length, q);
  const Vec3<V> log_scale = gather3(a.log_scales + 3 * begin, group);
  s.scale = {exp(log_scale.x), exp(log_scale.y), exp(log_scale.z)};
  const Mat3<V> rotated = rotation(s.unit);
  s.M = {rotated.row0 * s.scale, rotated.row1 * s.scale, rotated.row2 * s.scale};
  s.JR = multiply(s.image.jacobian, R);
  s.T = multiply(s.JR, s.M);

  const V logit = gather<1>(a.opacity_logits + begin, group, 0);
  s.opacity = V(1.0f) / (V(1.0f) + exp(-logit));
  // exp maps NaN to a number, so here is the last place to see it; elsewhere it reaches the outputs.
  const V parameters = log_scale.x + log_scale.y + log_scale.z;
  s.is_valid = (squared_length > V(kQuatNormMin)) & (parameters == parameters) & (logit == logit);
  return s;
}

SPLAT_END
