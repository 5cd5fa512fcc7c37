// The ops' declarations, once for all devices; the CPU's library declares them.
// What the arguments are and what comes back: the wrappers in splat/ops/.
#pragma once

namespace splat {

constexpr char kProjectSchema[] =
    "project(Tensor means, Tensor quats, Tensor log_scales, Tensor opacity_logits, Tensor sh, Tensor viewmats, "
    "Tensor Ks, Tensor? filters, Tensor? lenses, int width, int height, int sh_degree, int camera_model, float near, "
    "float far, float eps2d, bool compensate, bool unscented) -> (Tensor means2d, Tensor depths, Tensor conics, "
    "Tensor opacities, Tensor extents, Tensor colours)";

// v_viewmats is empty unless needs_viewmats.
constexpr char kProjectBackwardSchema[] =
    "project_backward(Tensor means, Tensor quats, Tensor log_scales, Tensor opacity_logits, Tensor sh, "
    "Tensor viewmats, Tensor Ks, Tensor? filters, Tensor? lenses, int width, int height, int sh_degree, "
    "int camera_model, float near, float far, float eps2d, bool compensate, bool unscented, Tensor extents, "
    "Tensor colours, Tensor v_means2d, Tensor v_depths, Tensor v_conics, Tensor v_opacities, Tensor v_colours, "
    "bool needs_viewmats) -> (Tensor v_means, Tensor v_quats, Tensor v_log_scales, Tensor v_opacity_logits, "
    "Tensor v_sh, Tensor v_viewmats)";

constexpr char kTilesSchema[] =
    "tiles(Tensor means2d, Tensor conics, Tensor depths, Tensor opacities, Tensor extents, int width, int height, "
    "int? bound=None) -> (Tensor offsets, Tensor gaussian_ids, Tensor slots, Tensor gaussian_offsets, Tensor needed)";

// trail is what forward notes for backward, empty unless needs_trail; its form is the device's own. Forward has no use
// for absgrad, slots and gaussian_offsets; they are arguments because backward needs them.
constexpr char kBlendSchema[] =
    "blend(Tensor means2d, Tensor conics, Tensor opacities, Tensor colours, Tensor? background, Tensor? absgrad, "
    "Tensor offsets, Tensor gaussian_ids, Tensor slots, Tensor gaussian_offsets, int width, int height, bool median, "
    "bool needs_trail) -> (Tensor image, Tensor transmittances, Tensor median_ids, Tensor trail)";

// v_background and v_absgrad are empty unless asked for.
constexpr char kBlendBackwardSchema[] =
    "blend_backward(Tensor v_image, Tensor v_transmittances, Tensor means2d, Tensor conics, Tensor opacities, "
    "Tensor colours, Tensor? background, Tensor offsets, Tensor gaussian_ids, Tensor slots, Tensor gaussian_offsets, "
    "Tensor image, Tensor transmittances, Tensor trail, int width, int height, bool absgrad) -> (Tensor v_means2d, "
    "Tensor v_conics, Tensor v_opacities, Tensor v_colours, Tensor v_background, Tensor v_absgrad)";

// gradient is d loss / d rendered, or empty; only loss is differentiable.
constexpr char kPhotometricLossSchema[] =
    "photometric_loss(Tensor rendered, Tensor target, Tensor? mask, float ssim_weight, bool needs_gradient)"
    " -> (Tensor loss, Tensor gradient)";

constexpr char kSsimSchema[] = "ssim(Tensor a, Tensor b) -> Tensor";

// rates holds, for each tensor in turn, periods[t] learning rates that repeat along its elements.
constexpr char kAdamSchema[] =
    "adam(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, float[] rates, "
    "int[] periods, int step, float beta1, float beta2, float eps) -> ()";

// gaussians, and the moments likewise, are means, quats, log_scales, opacity_logits and sh. rates are theirs in this
// order, sh's first row and its others each having one.
constexpr char kProjectAdamSchema[] =
    "project_adam(Tensor(a!)[] gaussians, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, Tensor(d!) last_steps, "
    "Tensor viewmats, Tensor Ks, Tensor? filters, Tensor? lenses, int width, int height, int sh_degree, "
    "int camera_model, float near, float far, float eps2d, bool compensate, bool unscented, Tensor extents, "
    "Tensor colours, Tensor v_means2d, Tensor v_depths, Tensor v_conics, Tensor v_opacities, Tensor v_colours, "
    "float[] rates, int step, float beta1, float beta2, float eps) -> ()";

// offsets [N, 3] of the centres; the seed is of 32 bits.
constexpr char kTremorSchema[] =
    "tremor(Tensor quats, Tensor log_scales, Tensor opacity_logits, float strength, float least_opacity, "
    "float steepness, int seed) -> Tensor";

constexpr char kShareSchema[] = "share(Tensor opacities, Tensor copies) -> (Tensor opacities, Tensor shrinks)";

/// Declares all ops in a library, torch's or the tests'.
template <class Library>
void declare_ops(Library& m) {
  for (const char* schema : {kProjectSchema, kProjectBackwardSchema, kTilesSchema, kBlendSchema, kBlendBackwardSchema,
                             kPhotometricLossSchema, kSsimSchema, kAdamSchema, kProjectAdamSchema, kTremorSchema,
                             kShareSchema}) {
    m.def(schema);
  }
}

}  // namespace splat
