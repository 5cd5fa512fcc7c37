// splat::tremor but for running the kernel: checks and the result, the same for every device.
#pragma once

#include <cmath>

#include "splat/ops/tremor.h"
#include "torch/tensors.h"

namespace splat {

/// The logit from which on sigmoid(steepness (least_opacity - opacity)) is below e^-kStill.
inline float still_logit(double least_opacity, double steepness) {
  const double opacity = least_opacity + kStill / steepness;
  return opacity < 1 ? static_cast<float>(std::log(opacity / (1 - opacity))) : INFINITY;
}

/// The op, by RUN(params, like), where `like` is a tensor on the device.
template <auto RUN>
Tensor tremor(Tensor quats, Tensor log_scales, Tensor opacity_logits, double strength, double least_opacity,
              double steepness, int64_t seed) {
  const int64_t n = quats.dim() > 0 ? quats.size(0) : 0;
  quats = checked(quats, "quats", {n, 4});
  log_scales = checked(log_scales, "log_scales", {n, 3});
  opacity_logits = checked(opacity_logits, "opacity_logits", {n});
  STD_TORCH_CHECK(steepness > 0, "steepness must be > 0, got ", steepness);
  STD_TORCH_CHECK(seed >= 0 && seed <= UINT32_MAX, "seed must be in [0, 2^32), got ", seed);
  const Tensor offsets = empty(quats, {n, 3});
  const Tremor all = {static_cast<float>(strength), static_cast<float>(least_opacity), static_cast<float>(steepness),
                      still_logit(least_opacity, steepness)};
  TremorParams params;
  params.quats = floats(quats);
  params.log_scales = floats(log_scales);
  params.opacity_logits = floats(opacity_logits);
  params.offsets = mutable_floats(offsets);
  params.count = n;
  params.seed = static_cast<uint32_t>(seed);
  params.tremor = all;
  RUN(params, quats);
  return offsets;
}

}  // namespace splat
