// What both directions of the projection share on the GPU: Gaussians in registers, and kernels made for one camera
// model and one degree of SH, so that no array is indexed at run time.
#pragma once

#include <type_traits>

#include "gpu/records.cuh"
#include "splat/math/projection.h"
#include "splat/math/sh.h"
#include "splat/ops/project.h"

SPLAT_BEGIN
namespace {

constexpr int kProjectThreads = static_cast<int>(kProjectBlock);
constexpr int kProjectWarps = kProjectThreads / kWarp;

/// SH coefficients up to a degree, and what they are as a record of floats; never empty, as no array may be.
template <int DEGREE>
constexpr int kShCount = DEGREE < 0 ? 1 : (DEGREE + 1) * (DEGREE + 1);
template <int DEGREE>
constexpr int kShWidth = 3 * kShCount<DEGREE>;

__device__ __forceinline__ Camera camera_of(const ProjectParams& a, int64_t c) {
  return make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.lenses ? a.lenses + Lens::kNumbers * c : nullptr, a.width,
                     a.height);
}

__device__ __forceinline__ Vec3<float> vector_at(const float* vectors, int64_t i) {
  return {vectors[3 * i], vectors[3 * i + 1], vectors[3 * i + 2]};
}

__device__ __forceinline__ Gaussian<float> gaussian_at(const ProjectParams& a, int64_t i, Vec3<float> mean) {
  const Floats<4> quat = load<4>(a.quats + 4 * i);
  return {mean,
          {quat.at[0], quat.at[1], quat.at[2], quat.at[3]},
          vector_at(a.log_scales, i),
          a.opacity_logits[i],
          a.filters ? a.filters[i] : 0.0f};
}

/// One 3-vector a thread, written by the warp as one stretch of memory.
__device__ __forceinline__ void store_vectors(WarpRecords<3>& records, float* first, int count, Vec3<float> own) {
  records.set({own.x, own.y, own.z});
  records.store(first, 3, count);
}

/// Reads the coefficients in use of the rows whose bits are set.
template <int WIDTH>
__device__ __forceinline__ void load_sh(WarpRecords<WIDTH>& records, const ProjectParams& a, int64_t first,
                                        unsigned rows) {
  const int64_t stride = 3 * a.sh_coefficients;
  if (a.half_sh) {
    records.load(static_cast<const bfloat16*>(a.sh) + stride * first, stride, rows);
  } else {
    records.load(static_cast<const float*>(a.sh) + stride * first, stride, rows);
  }
}

template <CameraModel MODEL>
using ModelConstant = std::integral_constant<CameraModel, MODEL>;

template <int DEGREE, class Work>
void with_model(const ProjectParams& a, const Work& work) {
  constexpr std::integral_constant<int, DEGREE> degree;
  switch (static_cast<CameraModel>(a.camera_model)) {
    case CameraModel::pinhole:
      return work(ModelConstant<CameraModel::pinhole>(), degree);
    case CameraModel::ortho:
      return work(ModelConstant<CameraModel::ortho>(), degree);
    case CameraModel::fisheye:
      return work(ModelConstant<CameraModel::fisheye>(), degree);
    case CameraModel::unscented_pinhole:
      return work(ModelConstant<CameraModel::unscented_pinhole>(), degree);
    case CameraModel::unscented_fisheye:
      return work(ModelConstant<CameraModel::unscented_fisheye>(), degree);
  }
}

/// Calls work(model, degree) with both as constants.
template <class Work>
void with_model_and_degree(const ProjectParams& a, const Work& work) {
  switch (a.sh_degree) {
    case -1:
      return with_model<-1>(a, work);
    case 0:
      return with_model<0>(a, work);
    case 1:
      return with_model<1>(a, work);
    case 2:
      return with_model<2>(a, work);
    case 3:
      return with_model<3>(a, work);
    case 4:
      return with_model<4>(a, work);
  }
}

}  // namespace
SPLAT_END
