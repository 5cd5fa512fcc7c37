// Projection on the GPU, forward: one thread for each (camera, Gaussian) pair.
//
// Bound by memory, and most of that are SH coefficients: a warp reads those of its visible Gaussians together, and
// those of the others never.
#include "gpu/project_common.cuh"

SPLAT_BEGIN
namespace {

/// 0.5 + sum of Y_k c_k.
template <int DEGREE>
__device__ __forceinline__ Vec3<float> colour(const Camera& camera, Vec3<float> mean,
                                              const WarpRecords<kShWidth<DEGREE>>& sh) {
  float Y[kShCount<DEGREE>], c[kShWidth<DEGREE>], inverse_length;
  sh_basis(sh_direction(mean + camera.minus_centre, inverse_length), DEGREE, Y);
  sh.get(c);
  Vec3<float> rgb = {0.5f, 0.5f, 0.5f};
  for (int k = 0; k < kShCount<DEGREE>; ++k) {
    rgb = {fma(Y[k], c[3 * k], rgb.x), fma(Y[k], c[3 * k + 1], rgb.y), fma(Y[k], c[3 * k + 2], rgb.z)};
  }
  return rgb;
}

template <CameraModel MODEL, int DEGREE>
__global__ void __launch_bounds__(kProjectThreads) forward(ProjectParams a, ProjectOutputs out) {
  struct Shared {
    Camera camera;
    WarpRecords<kShWidth<DEGREE>> sh[kProjectWarps];
    WarpRecords<3> vectors[kProjectWarps];
  };
  SPLAT_SHARED(Shared, shared);
  const Camera& camera = shared.camera;
  const int64_t c = blockIdx.y;
  if (threadIdx.x == 0) shared.camera = camera_of(a, c);
  __syncthreads();
  const int warp = threadIdx.x / kWarp;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kProjectThreads + threadIdx.x;
  const int64_t first = i - threadIdx.x % kWarp;  // of the warp's Gaussians
  if (first >= a.count) return;

  Projected<float> splat = {};
  Vec3<float> mean = {}, rgb = {};
  bool visible = false;
  if (i < a.count) {
    mean = vector_at(a.means, i);
    const float z = dot(camera.R.row2, mean) + camera.t.z;
    if (z > a.near_plane && z < a.far_plane) {
      const Splat<float> s = splat_of<MODEL>(camera, gaussian_at(a, i, mean), a.filters);
      splat = projected<MODEL>(s, a.eps2d, a.compensate, a.width, a.height);
      visible = splat.visible;
    }
  }
  if constexpr (DEGREE >= 0) {
    load_sh(shared.sh[warp], a, first, __ballot_sync(kWholeWarp, visible));
    if (visible) rgb = colour<DEGREE>(camera, mean, shared.sh[warp]);
    visible = visible && abs(rgb.x + rgb.y + rgb.z) <= kLargest;
  }
  if (!visible) {
    splat = {};
    rgb = {};
  }

  const int64_t row = c * a.count + i, first_row = c * a.count + first;
  const int count = static_cast<int>(a.count - first < kWarp ? a.count - first : kWarp);
  WarpRecords<3>& vectors = shared.vectors[warp];
  store_vectors(vectors, out.conics + 3 * first_row, count, {splat.conic.a, splat.conic.b, splat.conic.c});
  if constexpr (DEGREE >= 0) {
    const Vec3<float> clamped = {max(rgb.x, 0.0f), max(rgb.y, 0.0f), max(rgb.z, 0.0f)};
    store_vectors(vectors, out.colours + 3 * first_row, count, clamped);
  }
  if (i >= a.count) return;
  reinterpret_cast<float2*>(out.means2d)[row] = make_float2(splat.mean.x, splat.mean.y);
  reinterpret_cast<float2*>(out.extents)[row] = make_float2(splat.extent.x, splat.extent.y);
  out.depths[row] = splat.depth;
  out.opacities[row] = splat.opacity;
}

}  // namespace
SPLAT_END

namespace splat {

void project_forward_on_gpu(const ProjectParams& a, const ProjectOutputs& out, Stream stream) {
  const dim3 grid(blocks_for(a.count, kProjectThreads), static_cast<unsigned>(a.cameras));
  with_model_and_degree(a, [&](auto model, auto degree) {
    launch(forward<decltype(model)::value, decltype(degree)::value>, grid, kProjectThreads, stream, a, out);
  });
}

}  // namespace splat
