"""Alpha blending: the Gaussians of each pixel composited front to back."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from splat import checks, native
from splat.ops.tiles import TileLists

native.load()


class Blended(NamedTuple):
    """C cameras, H x W pixels, D channels.

    Attributes:
        image: [C, H, W, D] composited colours, background included.
        transmittances: [C, H, W] what is left for the background, in [1e-4, 1].
        median_ids: [C, H, W] int32 in [0, C * N): the Gaussian at which the transmittance first falls below one half,
            -1 where it never does. Empty unless asked for.
    """

    image: Tensor
    transmittances: Tensor
    median_ids: Tensor


def blend(
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colours: Tensor,
    background: Tensor | None,
    lists: TileLists,
    width: int,
    height: int,
    *,
    absgrad: Tensor | None = None,
    median: bool = False,
) -> Blended:
    """Composites Gaussians over the background, each pixel front to back.

    alpha = min(0.999, o exp(-sigma)), sigma = 0.5 (A dx^2 + C dy^2) + B dx dy. Skipped are alpha < 1/255 and sigma < 0;
    a pixel stops before its transmittance would fall to 1e-4. Differentiable (once) in the image and the
    transmittances, by means2d, conics, opacities, colours and background. The same bits for any number of threads.

    Args:
        means2d: [C, N, 2] px; pixel centres are at half-integers.
        conics: [C, N, 3] A, B, C: upper triangle of the inverse 2D covariances, 1/px^2.
        opacities: [C, N].
        colours: [C, N, D] any number of channels.
        background: [C, D], or None for zeros.
        lists: from `tiles`, of the same Gaussians and image size.
        width, height: image size, px.
        absgrad: [C, N, 2] zeros; after backward its gradient is the sum over pixels of |d loss / d means2d|.
        median: also find the median Gaussian of each pixel.

    Raises:
        ValueError, TypeError: a shape, dtype or device disagrees.

    Source:
        Kerbl et al., "3D Gaussian Splatting", 2023; absgrad: Ye et al., "AbsGS", 2024. Differs: alpha is clamped at
        0.999 rather than 0.99, and a clamped alpha passes no gradient to conic, mean and opacity.
    """
    sizes: dict[str, int] = {}
    checks.shape("means2d", means2d, ("C", "N", 2), sizes)
    checks.shape("conics", conics, ("C", "N", 3), sizes)
    checks.shape("opacities", opacities, ("C", "N"), sizes)
    checks.shape("colours", colours, ("C", "N", "D"), sizes)
    checks.float32(means2d=means2d)
    native.check_device("means2d", means2d)
    checks.same_kind("means2d", means2d, conics=conics, opacities=opacities, colours=colours)
    if background is not None:
        checks.shape("background", background, ("C", "D"), sizes)
        checks.same_kind("means2d", means2d, background=background)
    if absgrad is not None:
        checks.shape("absgrad", absgrad, ("C", "N", 2), sizes)
        checks.same_kind("means2d", means2d, absgrad=absgrad)
    checks.same_device("means2d", means2d, **lists._asdict())
    checks.positive(width=width, height=height)
    leaves = (means2d, conics, opacities, colours, background, absgrad)
    needs_trail = torch.is_grad_enabled() and any(leaf is not None and leaf.requires_grad for leaf in leaves)
    image, transmittances, median_ids, _ = torch.ops.splat.blend.default(
        *leaves, *lists[:4], width, height, median, needs_trail
    )
    native.validate("blend", image=image, transmittances=transmittances)
    return Blended(image, transmittances, median_ids)


def _empty_trail(means2d: Tensor, offsets: Tensor, gaussian_ids: Tensor, channels: int, needed: bool) -> Tensor:
    """The note from forward to backward: a mask for each instance on the CPU, on a GPU what ops/blend.h says."""
    instances = gaussian_ids.shape[0]
    if not means2d.is_cuda:
        return means2d.new_empty(instances if needed else 0, dtype=torch.int64)
    groups = cast(int, torch.sym_min(torch.sym_max(instances >> 19, 2), 16))
    buckets = instances // (32 * groups) + offsets.shape[0] - 1
    return means2d.new_empty(buckets * (8 * groups + 1 + 256 * (1 + channels)) if needed else 0)


def _fake(
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colours: Tensor,
    background: Tensor | None,
    absgrad: Tensor | None,
    offsets: Tensor,
    gaussian_ids: Tensor,
    slots: Tensor,
    gaussian_offsets: Tensor,
    width: int,
    height: int,
    median: bool,
    needs_trail: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pixels = (means2d.shape[0], height, width)
    return (
        means2d.new_empty(*pixels, colours.shape[2]),
        means2d.new_empty(pixels),
        means2d.new_empty(pixels if median else (0,), dtype=torch.int32),
        _empty_trail(means2d, offsets, gaussian_ids, colours.shape[2], needs_trail),
    )


def _setup_context(ctx, inputs, output) -> None:
    *tensors, ctx.width, ctx.height, _, _ = inputs
    image, transmittances, median_ids, trail = output
    ctx.mark_non_differentiable(median_ids, trail)
    ctx.save_for_backward(*tensors, image, transmittances, trail)


def _backward(ctx, v_image: Tensor, v_transmittances: Tensor, v_median_ids: None, v_trail: None):
    means2d, conics, opacities, colours, background, absgrad, *lists, image, transmittances, trail = ctx.saved_tensors
    wants_absgrad = absgrad is not None and ctx.needs_input_grad[5]
    v_means2d, v_conics, v_opacities, v_colours, v_background, v_absgrad = torch.ops.splat.blend_backward.default(
        v_image,
        v_transmittances,
        means2d,
        conics,
        opacities,
        colours,
        background,
        *lists,
        image,
        transmittances,
        trail,
        ctx.width,
        ctx.height,
        wants_absgrad,
    )
    native.validate("blend_backward", v_means2d=v_means2d, v_conics=v_conics, v_opacities=v_opacities)
    return (
        v_means2d,
        v_conics,
        v_opacities,
        v_colours,
        None if background is None else v_background,
        v_absgrad if wants_absgrad else None,
        None,  # offsets
        None,  # gaussian_ids
        None,  # slots
        None,  # gaussian_offsets
        None,  # width
        None,  # height
        None,  # median
        None,  # needs_trail
    )


def _backward_fake(
    v_image: Tensor,
    v_transmittances: Tensor,
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colours: Tensor,
    background: Tensor | None,
    offsets: Tensor,
    gaussian_ids: Tensor,
    slots: Tensor,
    gaussian_offsets: Tensor,
    image: Tensor,
    transmittances: Tensor,
    trail: Tensor,
    width: int,
    height: int,
    absgrad: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    cameras, gaussians, channels = colours.shape
    return (
        means2d.new_empty(means2d.shape),
        means2d.new_empty(conics.shape),
        means2d.new_empty(opacities.shape),
        means2d.new_empty(colours.shape),
        means2d.new_empty(0 if background is None else cameras, channels),
        means2d.new_empty(cameras, gaussians if absgrad else 0, 2),
    )


torch.library.register_fake("splat::blend", _fake)
torch.library.register_fake("splat::blend_backward", _backward_fake)
torch.library.register_autograd("splat::blend", _backward, setup_context=_setup_context)
