// What the projection kernels take. C cameras, N Gaussians, K SH coefficients.
//
// A Gaussian is visible to a camera when it lies between near and far, reaches kAlphaMin somewhere on the image, and
// everything computed from it is finite. This is the pipeline's only visibility test: what is culled here has zeros in
// every output and in every gradient, and later ops recognise it by extents = 0.
#pragma once

#include <cstdint>

#include "splat/bfloat16.h"
#include "splat/math/adam.h"
#include "splat/stream.h"

namespace splat {

struct ProjectParams {
  int64_t cameras = 0, count = 0, sh_coefficients = 0;  // C, N, K
  const float* means = nullptr;                         // [N, 3]
  const float* quats = nullptr;                         // [N, 4] wxyz
  const float* log_scales = nullptr;                    // [N, 3]
  const float* opacity_logits = nullptr;                // [N]
  const void* sh = nullptr;                             // [N, K, 3] floats, or bfloat16
  const float* filters = nullptr;                       // [N] smoothing filters, or null
  const float* viewmats = nullptr;                      // [C, 4, 4]
  const float* Ks = nullptr;                            // [C, 3, 3]
  const float* lenses = nullptr;                        // [C, Lens::kNumbers], or null; for the unscented models
  float width = 0, height = 0, near_plane = 0, far_plane = 0, eps2d = 0;
  int sh_degree = -1;                                   // -1: no colours
  int camera_model = 0;                                 // CameraModel
  bool compensate = false;
  bool half_sh = false;                                 // sh and its moments are bfloat16
};

struct ProjectOutputs {
  float* means2d = nullptr;    // [C, N, 2]
  float* depths = nullptr;     // [C, N]
  float* conics = nullptr;     // [C, N, 3]
  float* opacities = nullptr;  // [C, N]
  float* extents = nullptr;    // [C, N, 2]
  float* colours = nullptr;    // [C, N, 3], or null without colours
};

/// Cotangents of the outputs, and two outputs: which are visible, and which colours were clamped at 0.
struct ProjectCotangents {
  const float* extents = nullptr;      // [C, N, 2]
  const float* colours = nullptr;      // [C, N, 3], or null without colours
  const float* v_means2d = nullptr;    // [C, N, 2]
  const float* v_depths = nullptr;     // [C, N]
  const float* v_conics = nullptr;     // [C, N, 3]
  const float* v_opacities = nullptr;  // [C, N]
  const float* v_colours = nullptr;    // [C, N, 3], or null without colours
};

/// A tensor each of what a Gaussian has, or of its gradients, or of an optimiser's moments. Gradients are floats.
struct GaussianRows {
  float* means = nullptr;           // [N, 3]
  float* quats = nullptr;           // [N, 4]
  float* log_scales = nullptr;      // [N, 3]
  float* opacity_logits = nullptr;  // [N]
  void* sh = nullptr;               // [N, K, 3] floats, or bfloat16
};

/// Adam's state of all Gaussians. The coefficients of one that no camera sees are left as they are, with their moments;
/// `last_steps` tells since when, and the next step that sees it makes up for the others.
struct GaussianAdam {
  GaussianRows params, exp_avgs, exp_avg_sqs;
  int32_t* last_steps = nullptr;    // [N] number of the last step that moved a Gaussian's sh, 0 at first
  AdamStep step;
  int32_t number = 0;               // of this step
  float log_beta1 = 0, log_beta2 = 0;
  /// Learning rates over 1 - beta1^n: of means, quats, log_scales, opacity_logits, the first and the other rows of sh.
  float mean_rate = 0, quat_rate = 0, log_scale_rate = 0, opacity_logit_rate = 0, sh_rate = 0, sh_rest_rate = 0;
};

/// Gaussians of one call of a kernel on the CPU, at most: small enough for their gradients to stay in the first cache.
/// Those of one block of threads on the GPU. And on both the unit in which the viewmats' gradient is summed, hence the
/// same for any number of threads.
constexpr int64_t kProjectBlock = 128;

/// Length of one camera's pose sums: dL/dR by rows, then dL/dt.
constexpr int kPoseSums = 12;

/// Writes all outputs of Gaussians [begin, end), for every camera.
using ProjectForward = void (*)(const ProjectParams&, const ProjectOutputs&, int64_t begin, int64_t end);

/// Writes all gradients of Gaussians [begin, end), summed over cameras; `begin` is the first row of `out`. pose_sums
/// [C, kPoseSums] receives these Gaussians' share of the viewmats' gradient; null if it is not wanted.
using ProjectBackward = void (*)(const ProjectParams&, const ProjectCotangents&, const GaussianRows& out,
                                 float* pose_sums, int64_t begin, int64_t end);

/// Moves Gaussians [begin, end) by their gradients, which are never stored; sh only of the visible ones, and only the
/// coefficients that the cameras' colours have been made of.
using ProjectAdam = void (*)(const ProjectParams&, const ProjectCotangents&, const GaussianAdam&, int64_t begin,
                             int64_t end);

/// Writes all outputs, on the GPU.
void project_forward_on_gpu(const ProjectParams&, const ProjectOutputs&, Stream);

/// Writes all gradients, on the GPU. v_viewmats [C, 4, 4] is made by way of pose_sums
/// [ceil(N / kProjectBlock), C, kPoseSums], temporary memory; both are null if it is not wanted.
void project_backward_on_gpu(const ProjectParams&, const ProjectCotangents&, const GaussianRows&, float* pose_sums,
                             float* v_viewmats, Stream);

/// Moves all Gaussians, on the GPU.
void project_adam_on_gpu(const ProjectParams&, const ProjectCotangents&, const GaussianAdam&, Stream);

}  // namespace splat
