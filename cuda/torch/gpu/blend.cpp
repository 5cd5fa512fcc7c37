// splat::blend and splat::blend_backward on the GPU.
#include "torch/blend.h"

#include <tuple>

#include "torch/gpu/device.h"

namespace {

using splat::BlendArguments;
using splat::BlendTrail;
using splat::empty;
using splat::floats;
using splat::mutable_floats;
using splat::ScalarType;
using splat::Tensor;

std::tuple<Tensor, Tensor, Tensor, Tensor> blend(const Tensor& means2d, const Tensor& conics, const Tensor& opacities,
                                                 const Tensor& colours, std::optional<Tensor> background,
                                                 std::optional<Tensor>, const Tensor& offsets,
                                                 const Tensor& gaussian_ids, const Tensor&, const Tensor&,
                                                 int64_t width, int64_t height, bool median, bool needs_trail) {
  const splat::OnDevice device(means2d);
  const BlendArguments in(means2d, conics, opacities, colours, background, offsets, gaussian_ids, width, height);
  Tensor image = empty(in.means2d, {in.cameras, height, width, in.channels});
  Tensor transmittances = empty(in.means2d, {in.cameras, height, width});
  Tensor median_ids = empty(in.means2d, {0}, ScalarType::Int);
  if (median) median_ids = empty(in.means2d, {in.cameras, height, width}, ScalarType::Int);
  const splat::Buckets buckets = splat::buckets_for(in.instances, in.tiles);
  Tensor memory = empty(in.means2d, {needs_trail ? splat::trail_words(buckets, in.channels) : 0});
  const splat::BlendForward params{in.inputs(), mutable_floats(image), mutable_floats(transmittances),
                                   median ? median_ids.mutable_data_ptr<int32_t>() : nullptr, nullptr};
  const BlendTrail trail = needs_trail ? splat::trail_at(mutable_floats(memory), buckets) : BlendTrail{buckets};
  splat::blend_on_gpu(params, trail, in.tiles, device.stream);
  return {image, transmittances, median_ids, memory};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> blend_backward(
    const Tensor& v_image_in, const Tensor& v_transmittances_in, const Tensor& means2d, const Tensor& conics,
    const Tensor& opacities, const Tensor& colours, std::optional<Tensor> background, const Tensor& offsets,
    const Tensor& gaussian_ids, const Tensor& slots_in, const Tensor& gaussian_offsets_in, const Tensor& image_in,
    const Tensor& transmittances_in, const Tensor& trail_in, int64_t width, int64_t height, bool absgrad) {
  const splat::OnDevice device(means2d);
  const BlendArguments in(means2d, conics, opacities, colours, background, offsets, gaussian_ids, width, height);
  const int64_t count = in.cameras * in.per_camera;
  const splat::Buckets buckets = splat::buckets_for(in.instances, in.tiles);
  const Tensor v_image = splat::checked(v_image_in, "v_image", {in.cameras, height, width, in.channels});
  const Tensor v_transmittances =
      splat::checked(v_transmittances_in, "v_transmittances", {in.cameras, height, width});
  const Tensor image = splat::checked(image_in, "image", {in.cameras, height, width, in.channels});
  const Tensor transmittances = splat::checked(transmittances_in, "transmittances", {in.cameras, height, width});
  const Tensor slots = splat::checked(slots_in, "slots", ScalarType::Int, {in.instances});
  const Tensor gaussian_offsets =
      splat::checked(gaussian_offsets_in, "gaussian_offsets", ScalarType::Long, {count + 1});
  const Tensor memory = splat::checked(trail_in, "trail", {splat::trail_words(buckets, in.channels)});

  Tensor sums = empty(in.means2d, {in.instances, splat::blend_row(in.channels, absgrad)});
  const splat::BlendBackward params{in.inputs(),
                                    slots.const_data_ptr<int32_t>(),
                                    floats(image),
                                    floats(transmittances),
                                    nullptr,
                                    floats(v_image),
                                    floats(v_transmittances),
                                    absgrad,
                                    mutable_floats(sums),
                                    nullptr};
  splat::blend_backward_on_gpu(params, splat::trail_at(mutable_floats(memory), buckets), device.stream);

  Tensor v_means2d = empty(in.means2d, {in.cameras, in.per_camera, 2});
  Tensor v_conics = empty(in.means2d, {in.cameras, in.per_camera, 3});
  Tensor v_opacities = empty(in.means2d, {in.cameras, in.per_camera});
  Tensor v_colours = empty(in.means2d, {in.cameras, in.per_camera, in.channels});
  Tensor v_absgrad = empty(in.means2d, {in.cameras, absgrad ? in.per_camera : 0, 2});
  const splat::BlendGather gather{floats(in.conics),
                                  floats(in.opacities),
                                  gaussian_offsets.const_data_ptr<int64_t>(),
                                  floats(sums),
                                  static_cast<int>(in.channels),
                                  mutable_floats(v_means2d),
                                  mutable_floats(v_conics),
                                  mutable_floats(v_opacities),
                                  mutable_floats(v_colours),
                                  absgrad ? mutable_floats(v_absgrad) : nullptr};
  splat::blend_gather_on_gpu(gather, count, device.stream);

  Tensor v_background = empty(in.means2d, {background ? in.cameras : 0, in.channels});
  if (background) {
    Tensor shares = empty(in.means2d, {in.cameras, splat::kBackgroundBlocks, in.channels});
    splat::background_vjp_on_gpu(floats(transmittances), floats(v_image), in.cameras, width * height,
                                 static_cast<int>(in.channels), mutable_floats(shares), mutable_floats(v_background),
                                 device.stream);
  }
  return {v_means2d, v_conics, v_opacities, v_colours, v_background, v_absgrad};
}

}  // namespace

SPLAT_GPU_OPS(m) {
  m.impl("blend", TORCH_BOX(&blend));
  m.impl("blend_backward", TORCH_BOX(&blend_backward));
}
