// splat::blend and splat::blend_backward: tiles are handed out one by one to the threads, as their lists differ in
// length by 100 and more; no result depends on who takes which.
#include "torch/blend.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <tuple>

#include "cpu/dispatch.h"
#include "torch/cpu/scratch.h"

SPLAT_DISPATCH(BlendForwardKernels, blend_forward_kernels)
SPLAT_DISPATCH(BlendBackwardKernels, blend_backward_kernels)

namespace {

using splat::ScalarType;
using splat::Tensor;

/// Calls f(tile, scratch) for every tile, `floats` of aligned scratch memory to each thread.
template <class F>
void for_tiles(int64_t tiles, int64_t floats, const F& f) {
  std::atomic<int64_t> next{0};
  const int64_t workers = torch::stable::get_num_threads();
  torch::stable::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    constexpr size_t kAlignment = 64;
    std::vector<float> memory(floats + kAlignment / sizeof(float));
    void* aligned = memory.data();
    size_t space = memory.size() * sizeof(float);
    std::align(kAlignment, floats * sizeof(float), aligned, space);
    for (int64_t tile = next++; tile < tiles; tile = next++) f(tile, static_cast<float*>(aligned));
  });
}

void check_offsets(const splat::BlendArguments& in) {
  const int64_t* first = in.offsets.const_data_ptr<int64_t>();
  STD_TORCH_CHECK(first[0] == 0 && first[in.tiles] == in.instances, "offsets must run from 0 to ", in.instances,
                  ", the size of gaussian_ids");
}

std::tuple<Tensor, Tensor, Tensor, Tensor> blend(const Tensor& means2d, const Tensor& conics, const Tensor& opacities,
                                                 const Tensor& colours, std::optional<Tensor> background,
                                                 std::optional<Tensor>, const Tensor& offsets,
                                                 const Tensor& gaussian_ids, const Tensor&, const Tensor&,
                                                 int64_t width, int64_t height, bool median,
                                                 bool needs_trail) {
  const splat::BlendArguments in(means2d, conics, opacities, colours, background, offsets, gaussian_ids, width, height);
  check_offsets(in);
  Tensor image = splat::empty(in.means2d, {in.cameras, height, width, in.channels});
  Tensor transmittances = splat::empty(in.means2d, {in.cameras, height, width});
  Tensor median_ids = median ? splat::empty(in.means2d, {in.cameras, height, width}, ScalarType::Int)
                             : splat::empty(in.means2d, {0}, ScalarType::Int);
  Tensor blocks = splat::empty(in.means2d, {needs_trail ? in.instances : 0}, ScalarType::Long);
  const splat::BlendForward params{in.inputs(), splat::mutable_floats(image), splat::mutable_floats(transmittances),
                                   median ? median_ids.mutable_data_ptr<int32_t>() : nullptr,
                                   needs_trail ? blocks.mutable_data_ptr<int64_t>() : nullptr};
  const splat::BlendForwardKernels kernels = splat::blend_forward_kernels();
  for_tiles(in.tiles, kernels.scratch(in.channels),
            [&](int64_t tile, float* scratch) { kernels.tile(params, tile, scratch); });
  return {image, transmittances, median_ids, blocks};
}

/// Each camera's background gradient: its tiles' shares, added in order.
Tensor sum_background(const splat::BlendArguments& in, const Tensor& shares) {
  Tensor v_background = splat::empty(in.means2d, {in.cameras, in.channels});
  const float* share = splat::floats(shares);
  float* v = splat::mutable_floats(v_background);
  const int64_t tiles = in.tiles / std::max<int64_t>(in.cameras, 1);
  for (int64_t camera = 0; camera < in.cameras; ++camera) {
    for (int64_t d = 0; d < in.channels; ++d) {
      double total = 0.0;
      for (int64_t tile = 0; tile < tiles; ++tile) total += share[(camera * tiles + tile) * in.channels + d];
      v[camera * in.channels + d] = static_cast<float>(total);
    }
  }
  return v_background;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> blend_backward(
    const Tensor& v_image_in, const Tensor& v_transmittances_in, const Tensor& means2d, const Tensor& conics,
    const Tensor& opacities, const Tensor& colours, std::optional<Tensor> background, const Tensor& offsets,
    const Tensor& gaussian_ids, const Tensor& slots_in, const Tensor& gaussian_offsets_in, const Tensor& image_in,
    const Tensor& transmittances_in, const Tensor& trail, int64_t width, int64_t height, bool absgrad) {
  const splat::BlendArguments in(means2d, conics, opacities, colours, background, offsets, gaussian_ids, width, height);
  check_offsets(in);
  const int64_t count = in.cameras * in.per_camera;
  const Tensor v_image = splat::checked(v_image_in, "v_image", {in.cameras, height, width, in.channels});
  const Tensor v_transmittances =
      splat::checked(v_transmittances_in, "v_transmittances", {in.cameras, height, width});
  const Tensor image = splat::checked(image_in, "image", {in.cameras, height, width, in.channels});
  const Tensor transmittances = splat::checked(transmittances_in, "transmittances", {in.cameras, height, width});
  const Tensor slots = splat::checked(slots_in, "slots", ScalarType::Int, {in.instances});
  const Tensor gaussian_offsets =
      splat::checked(gaussian_offsets_in, "gaussian_offsets", ScalarType::Long, {count + 1});
  const Tensor blocks = splat::checked(trail, "trail", ScalarType::Long, {in.instances});

  const splat::Scratch sums(in.instances * splat::blend_row(in.channels, absgrad));
  Tensor shares = splat::empty(in.means2d, {background ? in.tiles : 0, in.channels});
  const splat::BlendBackward params{in.inputs(),
                                    slots.const_data_ptr<int32_t>(),
                                    splat::floats(image),
                                    splat::floats(transmittances),
                                    blocks.const_data_ptr<int64_t>(),
                                    splat::floats(v_image),
                                    splat::floats(v_transmittances),
                                    absgrad,
                                    sums.data(),
                                    background ? splat::mutable_floats(shares) : nullptr};
  const splat::BlendBackwardKernels kernels = splat::blend_backward_kernels();
  for_tiles(in.tiles, kernels.scratch(in.channels),
            [&](int64_t tile, float* scratch) { kernels.tile(params, tile, scratch); });

  Tensor v_means2d = splat::empty(in.means2d, {in.cameras, in.per_camera, 2});
  Tensor v_conics = splat::empty(in.means2d, {in.cameras, in.per_camera, 3});
  Tensor v_opacities = splat::empty(in.means2d, {in.cameras, in.per_camera});
  Tensor v_colours = splat::empty(in.means2d, {in.cameras, in.per_camera, in.channels});
  Tensor v_absgrad = splat::empty(in.means2d, {in.cameras, absgrad ? in.per_camera : 0, 2});
  const splat::BlendGather gather{splat::floats(in.conics),
                                  splat::floats(in.opacities),
                                  gaussian_offsets.const_data_ptr<int64_t>(),
                                  sums.data(),
                                  static_cast<int>(in.channels),
                                  splat::mutable_floats(v_means2d),
                                  splat::mutable_floats(v_conics),
                                  splat::mutable_floats(v_opacities),
                                  splat::mutable_floats(v_colours),
                                  absgrad ? splat::mutable_floats(v_absgrad) : nullptr};
  torch::stable::parallel_for(0, count, 1024,
                              [&](int64_t begin, int64_t end) { kernels.gather(gather, begin, end); });
  Tensor v_background = background ? sum_background(in, shares) : splat::empty(in.means2d, {0, in.channels});
  return {v_means2d, v_conics, v_opacities, v_colours, v_background, v_absgrad};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) {
  m.impl("blend", TORCH_BOX(&blend));
  m.impl("blend_backward", TORCH_BOX(&blend_backward));
}
