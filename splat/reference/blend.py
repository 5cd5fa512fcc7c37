"""Alpha blending in plain torch: every Gaussian at every pixel, without tiles."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.reference.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN


def pixel_centres(width: int, height: int, like: Tensor) -> Tensor:
    """[H * W, 2] x and y of the pixel centres, row by row."""
    x = torch.arange(width, dtype=like.dtype, device=like.device) + 0.5
    y = torch.arange(height, dtype=like.dtype, device=like.device) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)


def sigmas(means2d: Tensor, conics: Tensor, width: int, height: int) -> Tensor:
    """[C, N, H * W]: 0.5 (A dx^2 + C dy^2) + B dx dy of every Gaussian at every pixel."""
    dx, dy = (means2d[:, :, None] - pixel_centres(width, height, means2d)).unbind(-1)
    a, b, c = conics[..., None].unbind(2)
    return 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy


def alphas(means2d: Tensor, conics: Tensor, opacities: Tensor, width: int, height: int) -> Tensor:
    """[C, N, H * W]: what each Gaussian covers of each pixel, 0 where it is skipped."""
    sigma = sigmas(means2d, conics, width, height)
    alpha = (opacities[..., None] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    return torch.where((sigma >= 0) & (alpha >= ALPHA_MIN), alpha, 0)


def blend(
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colours: Tensor,
    background: Tensor | None,
    depths: Tensor,
    width: int,
    height: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `splat.ops.blend.blend` computes, with the order given by depths [C, N] instead of tile lists.

    Returns:
        image [C, H, W, D], transmittances [C, H, W], and median_ids [C, H, W] with -1 where there is none.
    """
    cameras, count, _ = colours.shape
    order = torch.argsort(depths, dim=1, stable=True)
    alpha = alphas(means2d, conics, opacities, width, height)
    alpha = alpha.gather(1, order[..., None].expand_as(alpha))
    sorted_colours = colours.gather(1, order[..., None].expand_as(colours))

    # Transmittance only falls, so that once a pixel has stopped, the bound fails for all that follow.
    behind = torch.cumprod(1 - alpha, dim=1)
    alpha = torch.where(behind > TRANSMITTANCE_MIN, alpha, 0)
    behind = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=1)
    transmittances = (1 - alpha).prod(dim=1)
    image = torch.einsum("cnp,cnd->cpd", alpha * before, sorted_colours)
    if background is not None:
        image = image + transmittances[..., None] * background[:, None]

    falls = (before >= 0.5) & (behind < 0.5)
    ids = order + count * torch.arange(cameras, device=order.device)[:, None]
    median_ids = torch.where(falls, ids[..., None], -1).amax(dim=1) if count else transmittances.long().mul(0).sub(1)
    shape = (cameras, height, width)
    return image.reshape(*shape, -1), transmittances.reshape(shape), median_ids.reshape(shape)
