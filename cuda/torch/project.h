// splat::project and splat::project_backward, but for running the kernels: checks and results, the same for every
// device.
#pragma once

#include <tuple>

#include "splat/math/camera.h"
#include "splat/math/sh.h"
#include "splat/ops/project.h"
#include "torch/adam.h"

namespace splat {

/// The inputs, contiguous and alive as long as the parameters that point into them.
struct ProjectInputs {
  Tensor means, quats, log_scales, opacity_logits, sh, viewmats, Ks;
  std::optional<Tensor> filters, lenses;
  ProjectParams params;
};

/// SH coefficients may be bfloat16; otherwise they are float32.
inline ScalarType sh_type(const Tensor& sh) {
  return sh.scalar_type() == ScalarType::BFloat16 ? ScalarType::BFloat16 : ScalarType::Float;
}

inline ProjectInputs checked_project_inputs(const Tensor& means, const Tensor& quats, const Tensor& log_scales,
                                            const Tensor& opacity_logits, const Tensor& sh, const Tensor& viewmats,
                                            const Tensor& Ks, const std::optional<Tensor>& filters,
                                            const std::optional<Tensor>& lenses, int64_t width, int64_t height,
                                            int64_t sh_degree, int64_t camera_model, double near_plane,
                                            double far_plane, double eps2d, bool compensate, bool unscented) {
  const int64_t n = means.dim() > 0 ? means.size(0) : 0, c = viewmats.dim() > 0 ? viewmats.size(0) : 0;
  ProjectInputs in{checked(means, "means", {n, 3}),
                   checked(quats, "quats", {n, 4}),
                   checked(log_scales, "log_scales", {n, 3}),
                   checked(opacity_logits, "opacity_logits", {n}),
                   checked(sh, "sh", sh_type(sh), {n, -1, 3}),
                   checked(viewmats, "viewmats", {c, 4, 4}),
                   checked(Ks, "Ks", {c, 3, 3}),
                   {},
                   {},
                   {}};
  if (filters) in.filters = checked(*filters, "filters", {n});
  if (lenses) in.lenses = checked(*lenses, "lenses", {c, Lens::kNumbers});
  const int64_t k = in.sh.size(1);
  STD_TORCH_CHECK(sh_degree >= -1 && sh_degree <= 4 && (sh_degree + 1) * (sh_degree + 1) <= k,
                  "sh_degree must be -1 (no colours) to 4 and sh must hold its coefficients; got degree ", sh_degree,
                  " and ", k, " coefficients");
  STD_TORCH_CHECK(camera_model >= 0 && camera_model <= 2, "camera_model must be 0, 1 or 2, got ", camera_model);
  const auto model = static_cast<CameraModel>(camera_model);
  STD_TORCH_CHECK(!unscented || model != CameraModel::ortho, "an orthographic camera has no unscented transform");
  STD_TORCH_CHECK(unscented || !lenses, "a lens that bends needs the unscented transform");
  STD_TORCH_CHECK(width > 0 && height > 0, "width and height must be > 0, got ", width, " x ", height);
  STD_TORCH_CHECK(near_plane > 0, "near must be > 0, got ", near_plane);
  STD_TORCH_CHECK(eps2d >= 0, "eps2d must be >= 0, got ", eps2d);
  ProjectParams& p = in.params;
  p.cameras = c;
  p.count = n;
  p.sh_coefficients = k;
  p.means = floats(in.means);
  p.quats = floats(in.quats);
  p.log_scales = floats(in.log_scales);
  p.opacity_logits = floats(in.opacity_logits);
  p.sh = in.sh.const_data_ptr();
  p.half_sh = sh_type(in.sh) == ScalarType::BFloat16;
  p.viewmats = floats(in.viewmats);
  p.Ks = floats(in.Ks);
  p.filters = in.filters ? floats(*in.filters) : nullptr;
  p.lenses = in.lenses ? floats(*in.lenses) : nullptr;
  p.width = static_cast<float>(width);
  p.height = static_cast<float>(height);
  p.near_plane = static_cast<float>(near_plane);
  p.far_plane = static_cast<float>(far_plane);
  p.eps2d = static_cast<float>(eps2d);
  p.sh_degree = static_cast<int>(sh_degree);
  p.camera_model = static_cast<int>(!unscented                      ? model
                                    : model == CameraModel::fisheye ? CameraModel::unscented_fisheye
                                                                    : CameraModel::unscented_pinhole);
  p.compensate = compensate;
  return in;
}

using ProjectResult = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

/// The op, by RUN(params, outputs, like), where `like` is a tensor on the device.
template <auto RUN>
ProjectResult project(Tensor means, Tensor quats, Tensor log_scales, Tensor opacity_logits, Tensor sh, Tensor viewmats,
                      Tensor Ks, std::optional<Tensor> filters, std::optional<Tensor> lenses, int64_t width,
                      int64_t height, int64_t sh_degree, int64_t camera_model, double near_plane, double far_plane,
                      double eps2d, bool compensate, bool unscented) {
  const ProjectInputs in = checked_project_inputs(means, quats, log_scales, opacity_logits, sh, viewmats, Ks, filters,
                                                  lenses, width, height, sh_degree, camera_model, near_plane,
                                                  far_plane, eps2d, compensate, unscented);
  const int64_t c = in.params.cameras, n = in.params.count;
  const Tensor means2d = empty(in.means, {c, n, 2}), depths = empty(in.means, {c, n});
  const Tensor conics = empty(in.means, {c, n, 3}), opacities = empty(in.means, {c, n});
  const Tensor extents = empty(in.means, {c, n, 2}), colours = empty(in.means, {c, n, sh_degree < 0 ? 0 : 3});
  const ProjectOutputs out{mutable_floats(means2d),   mutable_floats(depths),  mutable_floats(conics),
                           mutable_floats(opacities), mutable_floats(extents), mutable_floats(colours)};
  RUN(in.params, out, in.means);
  return {means2d, depths, conics, opacities, extents, colours};
}

/// Cotangents of what project returned, contiguous and alive as long as the pointers into them.
struct CheckedCotangents {
  Tensor extents, colours, v_means2d, v_depths, v_conics, v_opacities, v_colours;
  ProjectCotangents pointers;

  CheckedCotangents(const ProjectParams& p, const Tensor& given_extents, const Tensor& given_colours,
                    const Tensor& given_v_means2d, const Tensor& given_v_depths, const Tensor& given_v_conics,
                    const Tensor& given_v_opacities, const Tensor& given_v_colours) {
    const int64_t c = p.cameras, n = p.count, channels = p.sh_degree < 0 ? 0 : 3;
    extents = checked(given_extents, "extents", {c, n, 2});
    colours = checked(given_colours, "colours", {c, n, channels});
    v_means2d = checked(given_v_means2d, "v_means2d", {c, n, 2});
    v_depths = checked(given_v_depths, "v_depths", {c, n});
    v_conics = checked(given_v_conics, "v_conics", {c, n, 3});
    v_opacities = checked(given_v_opacities, "v_opacities", {c, n});
    v_colours = checked(given_v_colours, "v_colours", {c, n, channels});
    pointers = {floats(extents),  floats(colours),     floats(v_means2d), floats(v_depths),
                floats(v_conics), floats(v_opacities), floats(v_colours)};
  }
};

/// The op, by RUN(params, cotangents, gradients, v_viewmats, like); v_viewmats is null if it is not wanted.
template <auto RUN>
ProjectResult project_backward(Tensor means, Tensor quats, Tensor log_scales, Tensor opacity_logits, Tensor sh,
                               Tensor viewmats, Tensor Ks, std::optional<Tensor> filters,
                               std::optional<Tensor> lenses, int64_t width, int64_t height, int64_t sh_degree,
                               int64_t camera_model, double near_plane, double far_plane, double eps2d,
                               bool compensate, bool unscented, Tensor extents, Tensor colours, Tensor v_means2d,
                               Tensor v_depths, Tensor v_conics, Tensor v_opacities, Tensor v_colours,
                               bool needs_viewmats) {
  const ProjectInputs in = checked_project_inputs(means, quats, log_scales, opacity_logits, sh, viewmats, Ks, filters,
                                                  lenses, width, height, sh_degree, camera_model, near_plane,
                                                  far_plane, eps2d, compensate, unscented);
  const int64_t c = in.params.cameras, n = in.params.count;
  const CheckedCotangents cotangents(in.params, extents, colours, v_means2d, v_depths, v_conics, v_opacities,
                                     v_colours);
  const Tensor v_means = empty(in.means, {n, 3}), v_quats = empty(in.means, {n, 4});
  const Tensor v_log_scales = empty(in.means, {n, 3}), v_opacity_logits = empty(in.means, {n});
  const Tensor v_sh = empty(in.means, {n, in.params.sh_coefficients, 3});
  const GaussianRows out{mutable_floats(v_means), mutable_floats(v_quats), mutable_floats(v_log_scales),
                         mutable_floats(v_opacity_logits), mutable_floats(v_sh)};
  const Tensor v_viewmats = needs_viewmats ? empty(in.means, {c, 4, 4}) : empty(in.means, {0});
  RUN(in.params, cotangents.pointers, out, needs_viewmats ? mutable_floats(v_viewmats) : nullptr, in.means);
  return {v_means, v_quats, v_log_scales, v_opacity_logits, v_sh, v_viewmats};
}

/// The rows of means, quats, log_scales, opacity_logits and sh, which an op writes into.
inline GaussianRows rows_in_place(const std::vector<Tensor>& tensors, const char* name, const ProjectParams& p) {
  STD_TORCH_CHECK(tensors.size() == 5, name, " must be 5 tensors, got ", tensors.size());
  const int64_t n = p.count;
  STD_TORCH_CHECK(tensors[4].is_contiguous(), name, " must be contiguous");
  const ScalarType type = p.half_sh ? ScalarType::BFloat16 : ScalarType::Float;
  const Tensor sh = checked(tensors[4], name, type, {n, p.sh_coefficients, 3});
  return {in_place(tensors[0], name, {n, 3}), in_place(tensors[1], name, {n, 4}), in_place(tensors[2], name, {n, 3}),
          in_place(tensors[3], name, {n}), sh.mutable_data_ptr()};
}

/// The op, by RUN(params, cotangents, adam, like).
template <auto RUN>
void project_adam(std::vector<Tensor> gaussians, std::vector<Tensor> exp_avgs, std::vector<Tensor> exp_avg_sqs,
                  Tensor last_steps, Tensor viewmats, Tensor Ks, std::optional<Tensor> filters,
                  std::optional<Tensor> lenses, int64_t width, int64_t height, int64_t sh_degree,
                  int64_t camera_model, double near_plane, double far_plane, double eps2d, bool compensate,
                  bool unscented, Tensor extents, Tensor colours, Tensor v_means2d, Tensor v_depths, Tensor v_conics,
                  Tensor v_opacities, Tensor v_colours, std::vector<double> rates, int64_t step_number, double beta1,
                  double beta2, double eps) {
  STD_TORCH_CHECK(gaussians.size() == 5, "gaussians must be 5 tensors, got ", gaussians.size());
  STD_TORCH_CHECK(rates.size() == 6, "rates must be 6, got ", rates.size());
  const ProjectInputs in = checked_project_inputs(gaussians[0], gaussians[1], gaussians[2], gaussians[3], gaussians[4],
                                                  viewmats, Ks, filters, lenses, width, height, sh_degree,
                                                  camera_model, near_plane, far_plane, eps2d, compensate, unscented);
  STD_TORCH_CHECK(in.params.sh_coefficients <= kMaxShCoefficients, "sh must hold at most ", kMaxShCoefficients,
                  " coefficients, got ", in.params.sh_coefficients);
  const CheckedCotangents cotangents(in.params, extents, colours, v_means2d, v_depths, v_conics, v_opacities,
                                     v_colours);
  GaussianAdam adam;
  adam.params = rows_in_place(gaussians, "gaussians", in.params);
  adam.exp_avgs = rows_in_place(exp_avgs, "exp_avgs", in.params);
  adam.exp_avg_sqs = rows_in_place(exp_avg_sqs, "exp_avg_sqs", in.params);
  STD_TORCH_CHECK(last_steps.is_contiguous(), "last_steps must be contiguous");
  last_steps = checked(last_steps, "last_steps", ScalarType::Int, {in.params.count});
  adam.last_steps = last_steps.mutable_data_ptr<int32_t>();
  adam.step = adam_step(step_number, beta1, beta2, eps);
  adam.number = static_cast<int32_t>(step_number);
  adam.log_beta1 = static_cast<float>(std::log(beta1));
  adam.log_beta2 = static_cast<float>(std::log(beta2));
  const double scale = adam_rate_scale(step_number, beta1);
  float* const scaled[] = {&adam.mean_rate,          &adam.quat_rate, &adam.log_scale_rate,
                           &adam.opacity_logit_rate, &adam.sh_rate,   &adam.sh_rest_rate};
  for (size_t i = 0; i < rates.size(); ++i) *scaled[i] = static_cast<float>(rates[i] * scale);
  RUN(in.params, cotangents.pointers, adam, in.means);
}

}  // namespace splat
