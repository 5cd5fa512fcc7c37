"""Projection of Gaussians to the image plane of each camera: the first step of a frame.

C cameras, N Gaussians, K spherical-harmonic coefficients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from splat import checks, native

native.load()


class Projection(NamedTuple):
    """What `project` returns; a culled Gaussian has zeros everywhere.

    Attributes:
        means2d: [C, N, 2] projected centres, px.
        depths: [C, N] distance along the optical axis, world units.
        conics: [C, N, 3] upper triangle of the inverse 2D covariances, 1/px^2.
        opacities: [C, N] peak opacities after compensation.
        extents: [C, N, 2] half-sizes of the tight box where alpha is at least 1/255, px; 0 where culled. No gradient.
        colours: [C, N, 3] view-dependent colours >= 0, or [C, N, 0] without them.
    """

    means2d: Tensor
    depths: Tensor
    conics: Tensor
    opacities: Tensor
    extents: Tensor
    colours: Tensor


def project(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    sh: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int,
    camera_model: int,
    near: float,
    far: float,
    eps2d: float,
    compensate: bool,
    unscented: bool = False,
    filters: Tensor | None = None,
    lenses: Tensor | None = None,
) -> Projection:
    """Projects Gaussians to each image and evaluates their colours towards each camera.

    Means and covariances on the image are those of EWA splatting, which replaces the camera by its Jacobian at the
    Gaussian's centre, or those of the unscented transform, for which seven points of the Gaussian are taken to the
    image: the way for lenses that bend.

    Culled is what lies outside (near, far), reaches alpha 1/255 nowhere on the image, or has a NaN, an infinity or a
    quaternion of no length in what is computed from it. The unscented transform also culls what has one of its points
    behind the camera or outside the field of the lens, or all of them far off the image: by 15 % of its size.

    Args:
        means: [N, 3] centres, world units.
        quats: [N, 4] rotations, wxyz, of any length but zero.
        log_scales: [N, 3] logarithms of the standard deviations, world units.
        opacity_logits: [N] inverse sigmoids of the peak opacities.
        sh: [N, K, 3] colour coefficients; float32 as the others, or bfloat16.
        viewmats: [C, 4, 4] camera from world, OpenCV axes.
        Ks: [C, 3, 3] intrinsics, px; for ortho px per world unit.
        width, height: image size, px.
        sh_degree: highest degree to evaluate, at most that of `sh`; -1 for no colours.
        camera_model: index into `splat.cameras.CAMERA_MODELS`.
        near, far: range of depths, world units; near > 0.
        eps2d: variance added to the 2D covariances, px^2.
        compensate: lower the opacity by sqrt(det without eps2d / det with it), so that a splat keeps its energy.
        filters: [N] standard deviations of smoothing filters, world units: each Gaussian is convolved with an isotropic
            one of that size, and keeps its mass. None for none.
        unscented: by the unscented transform; not for ortho, which is linear.
        lenses: [C, 9] lenses that bend (`splat.lens.lenses`), with `unscented`. None for none.

    Returns:
        Projection, differentiable in means, quats, log_scales, opacity_logits, sh and viewmats; not in Ks, filters
            and lenses.

    Raises:
        ValueError, TypeError: a shape, dtype or device disagrees; near <= 0; eps2d < 0; lenses without unscented.

    Source:
        Zwicker et al., "EWA Splatting", 2002; Kerbl et al., "3D Gaussian Splatting", 2023, section 4. Differs: extents
        depend on opacity and are those of the ellipse, not of its circumscribed circle. Filters: Yu et al.,
        "Mip-Splatting", 2024, section 4.1. Unscented: Wu et al., "3DGUT", 2025, section 3.2; differs: its conic is
        what is blended.
    """
    checks.gaussians(means, quats, log_scales, opacity_logits, sh)
    checks.cameras(viewmats, Ks, width, height)
    checks.float32(means=means, viewmats=viewmats)
    checks.same_device("means", means, viewmats=viewmats)
    native.check_device("means", means)
    checks.positive(near=near)
    if filters is not None:
        checks.shape("filters", filters, (means.shape[0],))
        checks.same_kind("means", means, filters=filters)
    if lenses is not None:
        checks.shape("lenses", lenses, (len(viewmats), 9))
        checks.same_kind("means", means, lenses=lenses)
    outputs = torch.ops.splat.project.default(
        means, quats, log_scales, opacity_logits, sh, viewmats, Ks, filters, lenses, width, height, sh_degree,
        camera_model, near, far, eps2d, compensate, unscented,
    )  # fmt: skip
    projection = Projection(*outputs)
    native.validate("project", **projection._asdict())
    return projection._replace(extents=projection.extents.detach())


@torch.library.register_fake("splat::project")
def _fake(
    means: Tensor, quats: Tensor, log_scales: Tensor, opacity_logits: Tensor, sh: Tensor, viewmats: Tensor, Ks: Tensor,
    filters: Tensor | None, lenses: Tensor | None, width: int, height: int, sh_degree: int, *settings: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    pairs = (viewmats.shape[0], means.shape[0])
    sizes = [(2,), (), (3,), (), (2,), (0 if sh_degree < 0 else 3,)]
    return tuple(means.new_empty(*pairs, *size) for size in sizes)


@torch.library.register_fake("splat::project_backward")
def _backward_fake(
    means: Tensor, quats: Tensor, log_scales: Tensor, opacity_logits: Tensor, sh: Tensor, viewmats: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    needs_viewmats = rest[-1]
    gradients = [means.new_empty(x.shape) for x in (means, quats, log_scales, opacity_logits, sh)]
    return *gradients, means.new_empty(viewmats.shape if needs_viewmats else (0,))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *_, extents, colours = output
    ctx.save_for_backward(*inputs[:9], extents, colours)
    ctx.settings = inputs[9:]


def _backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
    *inputs, extents, colours = ctx.saved_tensors
    v_means2d, v_depths, v_conics, v_opacities, _, v_colours = cotangents
    needs_viewmats = ctx.needs_input_grad[5]
    gradients = torch.ops.splat.project_backward.default(
        *inputs, *ctx.settings, extents, colours, v_means2d, v_depths, v_conics, v_opacities, v_colours, needs_viewmats
    )
    names = ("v_means", "v_quats", "v_log_scales", "v_opacity_logits", "v_sh", "v_viewmats")
    native.validate("project_backward", **dict(zip(names, gradients, strict=True)))
    v_viewmats = gradients[5] if needs_viewmats else None
    # Ks, filters, lenses and the ten settings have no gradient.
    return *gradients[:5], v_viewmats, *(None,) * (3 + len(ctx.settings))


torch.library.register_autograd("splat::project", _backward, setup_context=_setup_context)
