// Projection on the GPU, backward: one thread for each Gaussian takes its cameras in turn, so that every gradient is
// summed in registers, in a fixed order, and written once.
//
// The gradient of SH comes first: it is the longest, and needs nothing that the others do. Then the coefficients
// themselves are read for the Gaussians that some camera saw. Both pass through the same shared memory.
#include "gpu/project_common.cuh"
#include "gpu/warp.cuh"

SPLAT_BEGIN
namespace {

/// dL/dcolour before the clamp at 0.
__device__ __forceinline__ Vec3<float> v_unclamped(const ProjectCotangents& in, int64_t row) {
  const Vec3<float> rgb = vector_at(in.colours, row), v = vector_at(in.v_colours, row);
  return {keep(rgb.x > 0.0f, v.x), keep(rgb.y > 0.0f, v.y), keep(rgb.z > 0.0f, v.z)};
}

/// dL/dc_k = sum over cameras of Y_k dL/dcolour, left in the warp's records. Returns whether a camera saw the Gaussian.
template <int DEGREE>
__device__ __forceinline__ bool sh_vjp(const ProjectParams& a, const ProjectCotangents& in, int64_t i, Vec3<float> mean,
                       WarpRecords<kShWidth<DEGREE>>& v_sh) {
  float Y[kShCount<DEGREE>], v_c[kShWidth<DEGREE>] = {};
  bool seen = false;
  for (int64_t c = 0; c < a.cameras; ++c) {
    const int64_t row = c * a.count + i;
    if (i >= a.count || !(in.extents[2 * row] > 0.0f)) continue;
    seen = true;
    const Camera camera = make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.width, a.height);
    float inverse_length;
    sh_basis(sh_direction(mean + camera.minus_centre, inverse_length), DEGREE, Y);
    const Vec3<float> v = v_unclamped(in, row);
    for (int k = 0; k < kShCount<DEGREE>; ++k) {
      v_c[3 * k] = fma(Y[k], v.x, v_c[3 * k]);
      v_c[3 * k + 1] = fma(Y[k], v.y, v_c[3 * k + 1]);
      v_c[3 * k + 2] = fma(Y[k], v.z, v_c[3 * k + 2]);
    }
  }
  v_sh.set(v_c);
  return seen;
}

/// dL/d(mean - camera centre) through the colour.
template <int DEGREE>
__device__ __forceinline__ Vec3<float> offset_vjp(const Camera& camera, Vec3<float> mean, Vec3<float> v,
                                  const WarpRecords<kShWidth<DEGREE>>& sh) {
  float c[kShWidth<DEGREE>], v_Y[kShCount<DEGREE>], inverse_length;
  sh.get(c);
  for (int k = 0; k < kShCount<DEGREE>; ++k) {
    v_Y[k] = fma(c[3 * k], v.x, fma(c[3 * k + 1], v.y, c[3 * k + 2] * v.z));
  }
  const Vec3<float> offset = mean + camera.minus_centre, direction = sh_direction(offset, inverse_length);
  return sh_direction_vjp(offset, direction, inverse_length, sh_basis_vjp(direction, DEGREE, v_Y));
}

__device__ __forceinline__ ProjectedCotangent<float> cotangent_at(const ProjectCotangents& in, int64_t row) {
  const Floats<2> v_mean = load<2>(in.v_means2d + 2 * row);
  return {{v_mean.at[0], v_mean.at[1]}, in.v_depths[row], vector_at(in.v_conics, row), in.v_opacities[row]};
}

struct PoseSums {
  float of_warp[kProjectWarps][kPoseSums];
};

/// The block's sum of dL/dR and dL/dt, always in the same order; called by all of its threads.
__device__ __forceinline__ void store_pose(PoseSums& sums, const PoseGradient<float>& g, float* out) {
  const float values[kPoseSums] = {g.R.row0.x, g.R.row0.y, g.R.row0.z, g.R.row1.x, g.R.row1.y, g.R.row1.z,
                                   g.R.row2.x, g.R.row2.y, g.R.row2.z, g.t.x,      g.t.y,      g.t.z};
  for (int i = 0; i < kPoseSums; ++i) {
    const float total = warp_sum(values[i]);
    if (threadIdx.x % kWarp == 0) sums.of_warp[threadIdx.x / kWarp][i] = total;
  }
  __syncthreads();
  if (threadIdx.x >= kPoseSums) return;
  float total = 0.0f;
  for (int warp = 0; warp < kProjectWarps; ++warp) total += sums.of_warp[warp][threadIdx.x];
  out[threadIdx.x] = total;
}

template <CameraModel MODEL, int DEGREE>
__global__ void __launch_bounds__(kProjectThreads) backward(ProjectParams a, ProjectCotangents in,
                                                            ProjectGradients out, float* pose_sums) {
  struct Shared {
    Camera camera;
    WarpRecords<kShWidth<DEGREE>> sh[kProjectWarps];
    WarpRecords<3> vectors[kProjectWarps];
    PoseSums pose;
  };
  SPLAT_SHARED(Shared, shared);
  const Camera& camera = shared.camera;
  const int warp = threadIdx.x / kWarp;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kProjectThreads + threadIdx.x;
  const int64_t first = i - threadIdx.x % kWarp, left = a.count - first;  // the warp's Gaussians
  const int count = static_cast<int>(left < 0 ? 0 : left < kWarp ? left : kWarp);
  Vec3<float> mean = {};
  if (i < a.count) mean = vector_at(a.means, i);
  if constexpr (DEGREE >= 0) {
    WarpRecords<kShWidth<DEGREE>>& sh = shared.sh[warp];
    const int64_t stride = 3 * a.sh_coefficients;
    const unsigned seen = __ballot_sync(kWholeWarp, sh_vjp<DEGREE>(a, in, i, mean, sh));
    sh.store(out.v_sh + stride * first, stride, count);
    sh.load(a.sh + stride * first, stride, seen);
  }

  Vec3<float> v_mean = {}, v_log_scale = {};
  Quat<float> v_quat = {};
  float v_logit = 0.0f;
  for (int64_t c = 0; c < a.cameras; ++c) {
    __syncthreads();
    if (threadIdx.x == 0) shared.camera = make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.width, a.height);
    __syncthreads();
    const int64_t row = c * a.count + i;
    PoseGradient<float> pose = {};
    if (i < a.count && in.extents[2 * row] > 0.0f) {
      const Gaussian<float> gaussian = gaussian_at(a, i, mean);
      const Splat<float> s = splat_of<MODEL>(camera, gaussian);
      const SplatGradient<float> g = splat_vjp<MODEL>(camera, s, cotangent_at(in, row), a.eps2d, a.compensate);
      Vec3<float> v_offset = {};
      if constexpr (DEGREE >= 0) v_offset = offset_vjp<DEGREE>(camera, mean, v_unclamped(in, row), shared.sh[warp]);
      v_mean = v_mean + row_times(g.p, camera.R) + v_offset;
      v_quat = {v_quat.w + g.quat.w, v_quat.x + g.quat.x, v_quat.y + g.quat.y, v_quat.z + g.quat.z};
      v_log_scale = v_log_scale + g.log_scale;
      v_logit += g.logit;
      if (pose_sums) pose = pose_gradient(camera, pose_share(g, mean, v_offset));
    }
    if (pose_sums) store_pose(shared.pose, pose, pose_sums + (blockIdx.x * a.cameras + c) * kPoseSums);
  }
  store_vectors(shared.vectors[warp], out.v_means + 3 * first, count, v_mean);
  store_vectors(shared.vectors[warp], out.v_log_scales + 3 * first, count, v_log_scale);
  if (i >= a.count) return;
  reinterpret_cast<float4*>(out.v_quats)[i] = make_float4(v_quat.w, v_quat.x, v_quat.y, v_quat.z);
  out.v_opacity_logits[i] = v_logit;
}

constexpr int kAdders = 32;  // that share the blocks of one camera among them, for each of the sums

struct PoseTotals {
  double of_adder[kAdders][kPoseSums];
};

/// dL/dviewmats [C, 4, 4] from the sums [blocks, C, kPoseSums]; a block for each camera.
__global__ void __launch_bounds__(kAdders* kPoseSums) add_poses(const float* sums, int64_t blocks, float* v_viewmats) {
  SPLAT_SHARED(PoseTotals, totals);
  const int64_t c = blockIdx.x, cameras = gridDim.x;
  const int adder = threadIdx.x / kPoseSums, place = threadIdx.x % kPoseSums;
  double total = 0.0;
  for (int64_t block = adder; block < blocks; block += kAdders) {
    total += sums[(block * cameras + c) * kPoseSums + place];
  }
  totals.of_adder[adder][place] = total;
  __syncthreads();
  if (threadIdx.x >= 16) return;
  const int i = threadIdx.x / 4, j = threadIdx.x % 4;
  double entry = 0.0;
  for (int k = 0; i < 3 && k < kAdders; ++k) entry += totals.of_adder[k][j < 3 ? 3 * i + j : 9 + i];
  v_viewmats[16 * c + threadIdx.x] = static_cast<float>(entry);
}

}  // namespace
SPLAT_END

namespace splat {

void project_backward_on_gpu(const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out,
                             float* pose_sums, float* v_viewmats, Stream stream) {
  const unsigned blocks = blocks_for(a.count, kProjectThreads);
  if (a.sh_degree < 0) fill_zero(out.v_sh, 3 * a.sh_coefficients * a.count * sizeof(float), stream);
  with_model_and_degree(a, [&](auto model, auto degree) {
    launch(backward<decltype(model)::value, decltype(degree)::value>, blocks, kProjectThreads, stream, a, in, out,
           pose_sums);
  });
  if (!v_viewmats) return;
  launch(add_poses, static_cast<unsigned>(a.cameras), kAdders * kPoseSums, stream, pose_sums, int64_t{blocks},
         v_viewmats);
}

}  // namespace splat
