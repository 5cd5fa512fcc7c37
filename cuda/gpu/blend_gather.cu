// The second half of the blending's gradient on the GPU: each Gaussian's sums over its instances, and the background's
// over all pixels, both in a fixed order.
#include "gpu/warp.cuh"
#include "splat/math/alpha.h"
#include "splat/ops/blend.h"

SPLAT_BEGIN
namespace {

constexpr int kThreads = 128;
constexpr int kAlone = 32;  // instances that one thread adds up; of more, the warp takes every 32nd each

/// Adds entry j of the rows first, first + stride, ... below end.
__device__ __forceinline__ float sum_entry(const BlendGather& p, int64_t row, int64_t first, int64_t end,
                                           int64_t stride, int64_t j) {
  float sum = 0.0f;
  for (int64_t slot = first; slot < end; slot += stride) sum += p.sums[slot * row + j];
  return sum;
}

__device__ __forceinline__ void store(const BlendGather& p, int64_t g, const SigmaMoments<float>& moments) {
  const float* conic = p.conics + 3 * g;
  // A culled Gaussian has opacity 0 and no instances.
  const float opacity = p.opacities[g] > 0.0f ? p.opacities[g] : 1.0f;
  const Splat2dGradient<float> v = splat2d_vjp(moments, conic[0], conic[1], conic[2], opacity);
  p.v_means2d[2 * g] = v.x;
  p.v_means2d[2 * g + 1] = v.y;
  p.v_conics[3 * g] = v.a;
  p.v_conics[3 * g + 1] = v.b;
  p.v_conics[3 * g + 2] = v.c;
  p.v_opacities[g] = v.opacity;
}

/// Calls entry(j, sum) for each entry of a Gaussian's row, then store() with the moments.
template <class Sum>
__device__ __forceinline__ void gather_row(const BlendGather& p, int64_t g, bool writes, const Sum& sum) {
  const SigmaMoments<float> moments{sum(0), sum(1), sum(2), sum(3), sum(4), sum(5)};
  if (writes) store(p, g, moments);
  for (int d = 0; d < p.channels; ++d) {
    const float v_colour = sum(6 + d);
    if (writes) p.v_colours[g * p.channels + d] = v_colour;
  }
  if (!p.v_absgrad) return;
  for (int axis = 0; axis < 2; ++axis) {
    const float v = sum(6 + p.channels + axis);
    if (writes) p.v_absgrad[2 * g + axis] = v;
  }
}

__global__ void __launch_bounds__(kThreads) gather(BlendGather p, int64_t count) {
  const int64_t g = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int lane = threadIdx.x % kWarp;
  const int64_t row = blend_row(p.channels, p.v_absgrad != nullptr);
  const bool exists = g < count;
  const int64_t first = exists ? p.gaussian_offsets[g] : 0, end = exists ? p.gaussian_offsets[g + 1] : 0;
  const bool is_long = end - first > kAlone;
  if (exists && !is_long) {
    gather_row(p, g, true, [&](int64_t j) { return sum_entry(p, row, first, end, 1, j); });
  }
  for (unsigned left = __ballot_sync(kWholeWarp, is_long); left; left &= left - 1) {
    const int owner = __ffs(static_cast<int>(left)) - 1;
    const int64_t its_g = g - lane + owner;
    const int64_t its_first = p.gaussian_offsets[its_g], its_end = p.gaussian_offsets[its_g + 1];
    gather_row(p, its_g, lane == 0,
               [&](int64_t j) { return warp_sum(sum_entry(p, row, its_first + lane, its_end, kWarp, j)); });
  }
}

constexpr int kBackgroundThreads = 256;

/// shares[camera, block, d]: the sum of T g over every kBackgroundBlocks-th row of pixels.
__global__ void __launch_bounds__(kBackgroundThreads)
    background_shares(const float* transmittances, const float* v_image, int64_t pixels, int channels, float* shares) {
  using PerWarp = float[kBackgroundThreads / kWarp];
  SPLAT_SHARED(PerWarp, per_warp);
  const int64_t camera = blockIdx.x, first = camera * pixels;
  for (int d = 0; d < channels; ++d) {
    float sum = 0.0f;
    for (int64_t i = static_cast<int64_t>(blockIdx.y) * kBackgroundThreads + threadIdx.x; i < pixels;
         i += kBackgroundBlocks * kBackgroundThreads) {
      sum = fma(transmittances[first + i], v_image[(first + i) * channels + d], sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % kWarp == 0) per_warp[threadIdx.x / kWarp] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
      float total = 0.0f;
      for (int warp = 0; warp < kBackgroundThreads / kWarp; ++warp) total += per_warp[warp];
      shares[(camera * kBackgroundBlocks + blockIdx.y) * channels + d] = total;
    }
    __syncthreads();
  }
}

/// A thread a camera and channel.
__global__ void __launch_bounds__(kWarp)
    background_sum(const float* shares, int64_t cameras, int channels, float* v_background) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  if (i >= cameras * channels) return;
  const int64_t camera = i / channels, d = i % channels;
  double total = 0.0;
  for (int64_t block = 0; block < kBackgroundBlocks; ++block) {
    total += shares[(camera * kBackgroundBlocks + block) * channels + d];
  }
  v_background[i] = static_cast<float>(total);
}

}  // namespace
SPLAT_END

namespace splat {

void blend_gather_on_gpu(const BlendGather& p, int64_t count, Stream stream) {
  launch(gather, blocks_for(count, kThreads), kThreads, stream, p, count);
}

void background_vjp_on_gpu(const float* transmittances, const float* v_image, int64_t cameras, int64_t pixels,
                           int channels, float* shares, float* v_background, Stream stream) {
  launch(background_shares, dim3(static_cast<unsigned>(cameras), kBackgroundBlocks), kBackgroundThreads, stream,
         transmittances, v_image, pixels, channels, shares);
  launch(background_sum, blocks_for(cameras * channels, kWarp), kWarp, stream, shares, cameras, channels, v_background);
}

}  // namespace splat
