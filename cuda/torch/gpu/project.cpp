// splat::project, splat::project_backward and splat::project_adam on the GPU.
#include "torch/project.h"

#include "torch/gpu/device.h"

namespace {

using splat::GaussianAdam;
using splat::GaussianRows;
using splat::ProjectCotangents;
using splat::ProjectOutputs;
using splat::ProjectParams;
using splat::Tensor;

constexpr int64_t kMostCameras = 65535;  // a grid's second size

void forward(const ProjectParams& params, const ProjectOutputs& out, const Tensor& like) {
  STD_TORCH_CHECK(params.cameras <= kMostCameras, "a GPU projects for ", kMostCameras, " cameras at once, got ",
                  params.cameras, "; render fewer at once");
  const splat::OnDevice device(like);
  splat::project_forward_on_gpu(params, out, device.stream);
}

void backward(const ProjectParams& params, const ProjectCotangents& cotangents, const GaussianRows& out,
              float* v_viewmats, const Tensor& like) {
  const splat::OnDevice device(like);
  const int64_t blocks = (params.count + splat::kProjectBlock - 1) / splat::kProjectBlock;
  const Tensor pose_sums = splat::empty(like, {v_viewmats ? blocks : 0, params.cameras, splat::kPoseSums});
  splat::project_backward_on_gpu(params, cotangents, out, v_viewmats ? splat::mutable_floats(pose_sums) : nullptr,
                                 v_viewmats, device.stream);
}

void adam(const ProjectParams& params, const ProjectCotangents& cotangents, const GaussianAdam& adam,
          const Tensor& like) {
  const splat::OnDevice device(like);
  splat::project_adam_on_gpu(params, cotangents, adam, device.stream);
}

}  // namespace

SPLAT_GPU_OPS(m) {
  m.impl("project", TORCH_BOX(&splat::project<forward>));
  m.impl("project_backward", TORCH_BOX(&splat::project_backward<backward>));
  m.impl("project_adam", TORCH_BOX(&splat::project_adam<adam>));
}
