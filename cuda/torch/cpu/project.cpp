// splat::project and splat::project_backward.
#include "splat/ops/project.h"

#include <tuple>

#include "cpu/dispatch.h"
#include "torch/tensors.h"

SPLAT_DISPATCH(ProjectForward, project_forward)
SPLAT_DISPATCH(ProjectBackward, project_backward)

namespace {

using splat::checked;
using splat::empty;
using splat::floats;
using splat::mutable_floats;
using splat::ProjectParams;
using splat::Tensor;

/// The inputs, contiguous and alive as long as the parameters that point into them.
struct Inputs {
  Tensor means, quats, log_scales, opacity_logits, sh, viewmats, Ks;
  ProjectParams params;
};

Inputs checked_inputs(const Tensor& means, const Tensor& quats, const Tensor& log_scales, const Tensor& opacity_logits,
                      const Tensor& sh, const Tensor& viewmats, const Tensor& Ks, int64_t width, int64_t height,
                      int64_t sh_degree, int64_t camera_model, double near_plane, double far_plane, double eps2d,
                      bool compensate) {
  const int64_t n = means.dim() > 0 ? means.size(0) : 0, c = viewmats.dim() > 0 ? viewmats.size(0) : 0;
  Inputs in{checked(means, "means", {n, 3}),
            checked(quats, "quats", {n, 4}),
            checked(log_scales, "log_scales", {n, 3}),
            checked(opacity_logits, "opacity_logits", {n}),
            checked(sh, "sh", {n, -1, 3}),
            checked(viewmats, "viewmats", {c, 4, 4}),
            checked(Ks, "Ks", {c, 3, 3}),
            {}};
  const int64_t k = in.sh.size(1);
  STD_TORCH_CHECK(sh_degree >= -1 && sh_degree <= 4 && (sh_degree + 1) * (sh_degree + 1) <= k,
                  "sh_degree must be -1 (no colours) to 4 and sh must hold its coefficients; got degree ", sh_degree,
                  " and ", k, " coefficients");
  STD_TORCH_CHECK(camera_model >= 0 && camera_model <= 2, "camera_model must be 0, 1 or 2, got ", camera_model);
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
  p.sh = floats(in.sh);
  p.viewmats = floats(in.viewmats);
  p.Ks = floats(in.Ks);
  p.width = static_cast<float>(width);
  p.height = static_cast<float>(height);
  p.near_plane = static_cast<float>(near_plane);
  p.far_plane = static_cast<float>(far_plane);
  p.eps2d = static_cast<float>(eps2d);
  p.sh_degree = static_cast<int>(sh_degree);
  p.camera_model = static_cast<int>(camera_model);
  p.compensate = compensate;
  return in;
}

/// Runs work(block, begin, end) for every block of Gaussians on torch's threads.
template <class Work>
void for_blocks(int64_t count, const Work& work) {
  const int64_t blocks = (count + splat::kProjectBlock - 1) / splat::kProjectBlock;
  torch::stable::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * splat::kProjectBlock, end = begin + splat::kProjectBlock;
      work(block, begin, end < count ? end : count);
    }
  });
}

using ProjectResult = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

ProjectResult project(Tensor means, Tensor quats, Tensor log_scales, Tensor opacity_logits, Tensor sh, Tensor viewmats,
                      Tensor Ks, int64_t width, int64_t height, int64_t sh_degree, int64_t camera_model,
                      double near_plane, double far_plane, double eps2d, bool compensate) {
  const Inputs in = checked_inputs(means, quats, log_scales, opacity_logits, sh, viewmats, Ks, width, height,
                                   sh_degree, camera_model, near_plane, far_plane, eps2d, compensate);
  const int64_t c = in.params.cameras, n = in.params.count;
  const Tensor means2d = empty(in.means, {c, n, 2}), depths = empty(in.means, {c, n});
  const Tensor conics = empty(in.means, {c, n, 3}), opacities = empty(in.means, {c, n});
  const Tensor extents = empty(in.means, {c, n, 2}), colours = empty(in.means, {c, n, sh_degree < 0 ? 0 : 3});
  const splat::ProjectOutputs out{mutable_floats(means2d),   mutable_floats(depths),  mutable_floats(conics),
                                  mutable_floats(opacities), mutable_floats(extents), mutable_floats(colours)};
  const splat::ProjectForward kernel = splat::project_forward();
  for_blocks(n, [&](int64_t, int64_t begin, int64_t end) { kernel(in.params, out, begin, end); });
  return {means2d, depths, conics, opacities, extents, colours};
}

/// dL/dviewmats [C, 4, 4] from the blocks' sums, added in the order of the blocks.
Tensor viewmats_gradient(const Tensor& like, const std::vector<float>& sums, int64_t cameras) {
  const Tensor v_viewmats = empty(like, {cameras, 4, 4});
  float* out = mutable_floats(v_viewmats);
  const size_t stride = static_cast<size_t>(cameras) * splat::kPoseSums;
  for (int64_t c = 0; c < cameras; ++c, out += 16) {
    double total[splat::kPoseSums] = {};
    for (size_t at = c * splat::kPoseSums; at < sums.size(); at += stride) {
      for (int i = 0; i < splat::kPoseSums; ++i) total[i] += sums[at + i];
    }
    for (int row = 0; row < 3; ++row) {
      for (int column = 0; column < 3; ++column) out[4 * row + column] = static_cast<float>(total[3 * row + column]);
      out[4 * row + 3] = static_cast<float>(total[9 + row]);
    }
    for (int column = 0; column < 4; ++column) out[12 + column] = 0.0f;
  }
  return v_viewmats;
}

ProjectResult project_backward(Tensor means, Tensor quats, Tensor log_scales, Tensor opacity_logits, Tensor sh,
                               Tensor viewmats, Tensor Ks, int64_t width, int64_t height, int64_t sh_degree,
                               int64_t camera_model, double near_plane, double far_plane, double eps2d,
                               bool compensate, Tensor extents, Tensor colours, Tensor v_means2d, Tensor v_depths,
                               Tensor v_conics, Tensor v_opacities, Tensor v_colours, bool needs_viewmats) {
  const Inputs in = checked_inputs(means, quats, log_scales, opacity_logits, sh, viewmats, Ks, width, height,
                                   sh_degree, camera_model, near_plane, far_plane, eps2d, compensate);
  const int64_t c = in.params.cameras, n = in.params.count, channels = sh_degree < 0 ? 0 : 3;
  extents = checked(extents, "extents", {c, n, 2});
  colours = checked(colours, "colours", {c, n, channels});
  v_means2d = checked(v_means2d, "v_means2d", {c, n, 2});
  v_depths = checked(v_depths, "v_depths", {c, n});
  v_conics = checked(v_conics, "v_conics", {c, n, 3});
  v_opacities = checked(v_opacities, "v_opacities", {c, n});
  v_colours = checked(v_colours, "v_colours", {c, n, channels});
  const splat::ProjectCotangents cotangents{floats(extents),  floats(colours),     floats(v_means2d), floats(v_depths),
                                            floats(v_conics), floats(v_opacities), floats(v_colours)};
  const Tensor v_means = empty(in.means, {n, 3}), v_quats = empty(in.means, {n, 4});
  const Tensor v_log_scales = empty(in.means, {n, 3}), v_opacity_logits = empty(in.means, {n});
  const Tensor v_sh = empty(in.means, {n, in.params.sh_coefficients, 3});
  const splat::ProjectGradients out{mutable_floats(v_means), mutable_floats(v_quats), mutable_floats(v_log_scales),
                                    mutable_floats(v_opacity_logits), mutable_floats(v_sh)};
  const int64_t blocks = (n + splat::kProjectBlock - 1) / splat::kProjectBlock;
  std::vector<float> pose_sums(needs_viewmats ? static_cast<size_t>(blocks * c) * splat::kPoseSums : 0);
  const splat::ProjectBackward kernel = splat::project_backward();
  for_blocks(n, [&](int64_t block, int64_t begin, int64_t end) {
    float* sums = needs_viewmats ? pose_sums.data() + block * c * splat::kPoseSums : nullptr;
    kernel(in.params, cotangents, out, sums, begin, end);
  });
  const Tensor v_viewmats = needs_viewmats ? viewmats_gradient(in.means, pose_sums, c) : empty(in.means, {0});
  return {v_means, v_quats, v_log_scales, v_opacity_logits, v_sh, v_viewmats};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) {
  m.impl("project", TORCH_BOX(&project));
  m.impl("project_backward", TORCH_BOX(&project_backward));
}
