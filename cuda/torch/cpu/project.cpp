// splat::project, splat::project_backward and splat::project_adam.
#include "torch/project.h"

#include "cpu/dispatch.h"

SPLAT_DISPATCH(ProjectForward, project_forward)
SPLAT_DISPATCH(ProjectBackward, project_backward)
SPLAT_DISPATCH(ProjectAdam, project_adam)

namespace {

using splat::GaussianAdam;
using splat::GaussianRows;
using splat::ProjectCotangents;
using splat::ProjectOutputs;
using splat::ProjectParams;
using splat::Tensor;

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

void forward(const ProjectParams& params, const ProjectOutputs& out, const Tensor&) {
  const splat::ProjectForward kernel = splat::project_forward();
  for_blocks(params.count, [&](int64_t, int64_t begin, int64_t end) { kernel(params, out, begin, end); });
}

/// dL/dviewmats [C, 4, 4] from the blocks' sums, added in the order of the blocks.
void viewmats_gradient(const std::vector<float>& sums, int64_t cameras, float* out) {
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
}

void backward(const ProjectParams& params, const ProjectCotangents& cotangents, const GaussianRows& out,
              float* v_viewmats, const Tensor&) {
  const int64_t blocks = (params.count + splat::kProjectBlock - 1) / splat::kProjectBlock;
  const int64_t stride = params.cameras * splat::kPoseSums;
  std::vector<float> pose_sums(v_viewmats ? static_cast<size_t>(blocks * stride) : 0);
  const splat::ProjectBackward kernel = splat::project_backward();
  for_blocks(params.count, [&](int64_t block, int64_t begin, int64_t end) {
    float* sh = static_cast<float*>(out.sh);
    const GaussianRows rows = {out.means + 3 * begin, out.quats + 4 * begin, out.log_scales + 3 * begin,
                               out.opacity_logits + begin, sh + 3 * params.sh_coefficients * begin};
    kernel(params, cotangents, rows, v_viewmats ? pose_sums.data() + block * stride : nullptr, begin, end);
  });
  if (v_viewmats) viewmats_gradient(pose_sums, params.cameras, v_viewmats);
}

void adam(const ProjectParams& params, const ProjectCotangents& cotangents, const GaussianAdam& adam, const Tensor&) {
  const splat::ProjectAdam kernel = splat::project_adam();
  for_blocks(params.count, [&](int64_t, int64_t begin, int64_t end) { kernel(params, cotangents, adam, begin, end); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) {
  m.impl("project", TORCH_BOX(&splat::project<forward>));
  m.impl("project_backward", TORCH_BOX(&splat::project_backward<backward>));
  m.impl("project_adam", TORCH_BOX(&splat::project_adam<adam>));
}
