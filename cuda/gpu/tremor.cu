// Noise on the centres: one thread a Gaussian. Those that stay are not read beyond their opacity.
#include "gpu/records.cuh"
#include "splat/ops/tremor.h"

SPLAT_BEGIN
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) offsets(TremorParams a) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.count) return;
  const float logit = a.opacity_logits[i];
  Vec3<float> offset = {0.0f, 0.0f, 0.0f};
  if (logit < a.tremor.still_logit) {
    const Floats<4> quat = load<4>(a.quats + 4 * i);
    const Floats<3> log_scale = load<3>(a.log_scales + 3 * i);
    const Vec3<float> normal = normals(tremor_uniform(a.seed, i, 0), tremor_uniform(a.seed, i, 1),
                                       tremor_uniform(a.seed, i, 2), tremor_uniform(a.seed, i, 3));
    offset = tremor<float>({quat.at[0], quat.at[1], quat.at[2], quat.at[3]},
                           {log_scale.at[0], log_scale.at[1], log_scale.at[2]}, logit, normal, a.tremor);
  }
  store<3>(a.offsets + 3 * i, Floats<3>{{offset.x, offset.y, offset.z}});
}

}  // namespace
SPLAT_END

namespace splat {

void tremor_on_gpu(const TremorParams& a, Stream stream) {
  launch(offsets, blocks_for(a.count, kThreads), kThreads, stream, a);
}

}  // namespace splat
