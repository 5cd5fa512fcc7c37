// splat::share but for running the kernel: checks and results, the same for every device.
#pragma once

#include <tuple>

#include "splat/ops/share.h"
#include "torch/tensors.h"

namespace splat {

/// The op, by RUN(params, like), where `like` is a tensor on the device.
template <auto RUN>
std::tuple<Tensor, Tensor> share(Tensor opacities, Tensor copies) {
  opacities = checked(opacities, "opacities", {-1});
  const int64_t m = opacities.size(0);
  copies = checked(copies, "copies", ScalarType::Long, {m});
  const Tensor shared = empty(opacities, {m}), shrinks = empty(opacities, {m});
  const ShareParams params = {floats(opacities), copies.const_data_ptr<int64_t>(), mutable_floats(shared),
                              mutable_floats(shrinks), m};
  RUN(params, opacities);
  return {shared, shrinks};
}

}  // namespace splat
