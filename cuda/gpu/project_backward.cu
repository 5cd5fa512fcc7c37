// Projection on the GPU, backward: one thread for each Gaussian takes its cameras in turn, so that every gradient is
// summed in registers, in a fixed order. Then it is written once, or the optimiser moves the Gaussian by it at once.
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

__device__ __forceinline__ bool is_seen(const ProjectParams& a, const ProjectCotangents& in, int64_t i, int64_t c) {
  return i < a.count && in.extents[2 * (c * a.count + i)] > 0.0f;
}

/// dL/dc_k = sum over cameras of Y_k dL/dcolour, left in the warp's records.
template <int DEGREE>
__device__ __forceinline__ void sh_vjp(const ProjectParams& a, const ProjectCotangents& in, int64_t i, Vec3<float> mean,
                       WarpRecords<kShWidth<DEGREE>>& v_sh) {
  float Y[kShCount<DEGREE>], v_c[kShWidth<DEGREE>] = {};
  for (int64_t c = 0; c < a.cameras; ++c) {
    if (!is_seen(a, in, i, c)) continue;
    const int64_t row = c * a.count + i;
    const Camera camera = camera_of(a, c);
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

/// Of one Gaussian, summed over cameras.
struct Gradient {
  Vec3<float> mean = {};
  Quat<float> quat = {};
  Vec3<float> log_scale = {};
  float logit = 0.0f;
};

/// The Gaussians of a warp: the first one, how many there are, and a bit for each that some camera sees.
struct WarpRows {
  int64_t first;
  int count;
  unsigned seen;
};

/// Writes gradients: those of Gaussians that no camera sees are 0.
struct StoreGradients {
  struct Shared {
    WarpRecords<3> vectors[kProjectWarps];
  };
  GaussianRows out;

  __device__ __forceinline__ void start(Shared&, const WarpRows&) const {}

  /// Takes the gradients of sh from the records and leaves there the coefficients of the Gaussians seen.
  template <int WIDTH>
  __device__ __forceinline__ void sh(Shared&, const ProjectParams& a, const WarpRows& rows,
                                     WarpRecords<WIDTH>& records) const {
    const int64_t stride = 3 * a.sh_coefficients;
    records.store(static_cast<float*>(out.sh) + stride * rows.first, stride, rows.count);
    load_sh(records, a, rows.first, rows.seen);
  }

  __device__ __forceinline__ void geometry(Shared& shared, const WarpRows& rows, const Gradient& g) const {
    const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    store_vectors(shared.vectors[warp], out.means + 3 * rows.first, rows.count, g.mean);
    store_vectors(shared.vectors[warp], out.log_scales + 3 * rows.first, rows.count, g.log_scale);
    if (lane >= rows.count) return;
    const int64_t i = rows.first + lane;
    reinterpret_cast<float4*>(out.quats)[i] = make_float4(g.quat.w, g.quat.x, g.quat.y, g.quat.z);
    out.opacity_logits[i] = g.logit;
  }
};

/// Moves the Gaussians by Adam, and the coefficients of those that some camera sees.
struct MoveGaussians {
  struct Shared {
    AdamPause<float> pauses[kProjectThreads];
  };
  GaussianAdam adam;

  /// Moves N numbers that lie side by side; `random` is that of the first.
  template <int N, class Number>
  __device__ __forceinline__ void move(Number* param, Number* exp_avg, Number* exp_avg_sq, const Floats<N>& gradient,
                                       const float (&rates)[N], const AdamPause<float>& pause, uint32_t random,
                                       Floats<N>& before) const {
    before = load<N>(param);
    Floats<N> p = before, m = load<N>(exp_avg), v = load<N>(exp_avg_sq);
    for (int k = 0; k < N; ++k) {
      if (pause.motion != 0.0f) catch_up(p.at[k], m.at[k], v.at[k], rates[k], adam.step, pause);
      splat::adam(p.at[k], gradient.at[k], m.at[k], v.at[k], rates[k], adam.step);
    }
    store<N>(param, p, random);
    store<N>(exp_avg, m, random + kRandomOfMoment);
    store<N>(exp_avg_sq, v, random + 2 * kRandomOfMoment);
  }

  __device__ __forceinline__ void start(Shared& shared, const WarpRows& rows) const {
    const int lane = threadIdx.x % kWarp;
    if (!(rows.seen >> lane & 1)) return;
    int32_t& last_step = adam.last_steps[rows.first + lane];
    const int skipped = adam.number - 1 - last_step;
    const float k = skipped > 0 ? static_cast<float>(skipped) : 0.0f;
    shared.pauses[threadIdx.x] = adam_pause(adam.log_beta1, adam.log_beta2, k);
    last_step = adam.number;
  }

  /// As above. Each number's gradient gives way to the number as it was.
  template <int WIDTH>
  __device__ __forceinline__ void sh(Shared& shared, const ProjectParams& a, const WarpRows& rows,
                                     WarpRecords<WIDTH>& records) const {
    a.half_sh ? move_sh<bfloat16>(shared, a, rows, records) : move_sh<float>(shared, a, rows, records);
  }

  template <class Number, int WIDTH>
  __device__ __forceinline__ void move_sh(Shared& shared, const ProjectParams& a, const WarpRows& rows,
                                          WarpRecords<WIDTH>& records) const {
    using Records = WarpRecords<WIDTH>;
    constexpr int kUnit = Records::kUnit, kUnits = Records::kUnits;
    const int lane = threadIdx.x % kWarp, warp_start = threadIdx.x - lane;
    Number* const params = static_cast<Number*>(adam.params.sh);
    Number* const exp_avgs = static_cast<Number*>(adam.exp_avgs.sh);
    Number* const exp_avg_sqs = static_cast<Number*>(adam.exp_avg_sqs.sh);
    __syncwarp();
    for (int round = 0; round < kUnits; ++round) {
      const int i = round * kWarp + lane, row = i / kUnits, unit = i % kUnits;
      if (!(rows.seen >> row & 1)) continue;
      const int64_t at = 3 * a.sh_coefficients * (rows.first + row) + kUnit * unit;
      float rates[kUnit];
      for (int k = 0; k < kUnit; ++k) rates[k] = kUnit * unit + k < 3 ? adam.sh_rate : adam.sh_rest_rate;
      Floats<kUnit>& record = records.unit(row, unit);
      const Floats<kUnit> gradient = record;
      const uint32_t random = row_random(adam.number, static_cast<uint32_t>(rows.first + row));
      move<kUnit>(params + at, exp_avgs + at, exp_avg_sqs + at, gradient, rates, shared.pauses[warp_start + row],
                  random + kUnit * unit * kRandomStride, record);
    }
    __syncwarp();
  }

  __device__ __forceinline__ void geometry(Shared&, const WarpRows& rows, const Gradient& g) const {
    const int lane = threadIdx.x % kWarp;
    if (lane >= rows.count) return;
    const int64_t i = rows.first + lane;
    const float mean = adam.mean_rate, quat = adam.quat_rate, scale = adam.log_scale_rate;
    move_part<3>(&GaussianRows::means, i, {g.mean.x, g.mean.y, g.mean.z}, {mean, mean, mean});
    move_part<4>(&GaussianRows::quats, i, {g.quat.w, g.quat.x, g.quat.y, g.quat.z}, {quat, quat, quat, quat});
    move_part<3>(&GaussianRows::log_scales, i, {g.log_scale.x, g.log_scale.y, g.log_scale.z}, {scale, scale, scale});
    move_part<1>(&GaussianRows::opacity_logits, i, {g.logit}, {adam.opacity_logit_rate});
  }

  template <int N>
  __device__ __forceinline__ void move_part(float* GaussianRows::*part, int64_t i, const Floats<N>& gradient,
                                            const float (&rates)[N]) const {
    Floats<N> before;
    move<N>(adam.params.*part + N * i, adam.exp_avgs.*part + N * i, adam.exp_avg_sqs.*part + N * i, gradient, rates,
            AdamPause<float>{1.0f, 1.0f, 0.0f}, 0, before);
  }
};

template <CameraModel MODEL, int DEGREE, class Sink>
__global__ void __launch_bounds__(kProjectThreads) backward(ProjectParams a, ProjectCotangents in, Sink sink,
                                                            float* pose_sums) {
  struct Shared {
    Camera camera;
    WarpRecords<kShWidth<DEGREE>> sh[kProjectWarps];
    typename Sink::Shared sink;
    PoseSums pose;
  };
  SPLAT_SHARED(Shared, shared);
  const Camera& camera = shared.camera;
  const int warp = threadIdx.x / kWarp;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kProjectThreads + threadIdx.x;
  const int64_t first = i - threadIdx.x % kWarp, left = a.count - first;
  bool seen = false;
  for (int64_t c = 0; c < a.cameras; ++c) seen |= is_seen(a, in, i, c);
  const WarpRows rows = {first, static_cast<int>(left < 0 ? 0 : left < kWarp ? left : kWarp),
                         __ballot_sync(kWholeWarp, seen)};
  Vec3<float> mean = {};
  if (i < a.count) mean = vector_at(a.means, i);
  if constexpr (DEGREE >= 0) {
    sink.start(shared.sink, rows);
    sh_vjp<DEGREE>(a, in, i, mean, shared.sh[warp]);
    sink.sh(shared.sink, a, rows, shared.sh[warp]);
  }

  Gradient sum;
  for (int64_t c = 0; c < a.cameras; ++c) {
    __syncthreads();
    if (threadIdx.x == 0) shared.camera = camera_of(a, c);
    __syncthreads();
    const int64_t row = c * a.count + i;
    PoseGradient<float> pose = {};
    if (is_seen(a, in, i, c)) {
      const Gaussian<float> gaussian = gaussian_at(a, i, mean);
      const Splat<float> s = splat_of<MODEL>(camera, gaussian, a.filters);
      const SplatGradient<float> g =
          splat_vjp<MODEL>(camera, s, cotangent_at(in, row), a.filters, a.eps2d, a.compensate);
      Vec3<float> v_offset = {};
      if constexpr (DEGREE >= 0) v_offset = offset_vjp<DEGREE>(camera, mean, v_unclamped(in, row), shared.sh[warp]);
      sum.mean = sum.mean + row_times(g.p, camera.R) + v_offset;
      sum.quat = {sum.quat.w + g.quat.w, sum.quat.x + g.quat.x, sum.quat.y + g.quat.y, sum.quat.z + g.quat.z};
      sum.log_scale = sum.log_scale + g.log_scale;
      sum.logit += g.logit;
      if (pose_sums) pose = pose_gradient(camera, pose_share(g, mean, v_offset));
    }
    if (pose_sums) store_pose(shared.pose, pose, pose_sums + (blockIdx.x * a.cameras + c) * kPoseSums);
  }
  sink.geometry(shared.sink, rows, sum);
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

namespace {

template <class Sink>
void run_backward(const ProjectParams& a, const ProjectCotangents& in, const Sink& sink, float* pose_sums,
                  Stream stream) {
  with_model_and_degree(a, [&](auto model, auto degree) {
    launch(backward<decltype(model)::value, decltype(degree)::value, Sink>, blocks_for(a.count, kProjectThreads),
           kProjectThreads, stream, a, in, sink, pose_sums);
  });
}

}  // namespace

void project_backward_on_gpu(const ProjectParams& a, const ProjectCotangents& in, const GaussianRows& out,
                             float* pose_sums, float* v_viewmats, Stream stream) {
  if (a.sh_degree < 0) fill_zero(out.sh, 3 * a.sh_coefficients * a.count * sizeof(float), stream);
  run_backward(a, in, StoreGradients{out}, pose_sums, stream);
  if (!v_viewmats) return;
  launch(add_poses, static_cast<unsigned>(a.cameras), kAdders * kPoseSums, stream, pose_sums,
         int64_t{blocks_for(a.count, kProjectThreads)}, v_viewmats);
}

void project_adam_on_gpu(const ProjectParams& a, const ProjectCotangents& in, const GaussianAdam& adam,
                         Stream stream) {
  run_backward(a, in, MoveGaussians{adam}, nullptr, stream);
}

}  // namespace splat
