"""What one Gaussian becomes when it is doubled."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from splat.gaussians import Gaussians

#: Scattered copies: so many, each smaller by SCATTER_SHRINK (Kerbl et al. 2023).
SCATTER_COUNT = 2
SCATTER_SHRINK = 0.8 * SCATTER_COUNT
#: Halves along the longest axis: how far their centres lie from the parent's, in its longest scale; the factors of that
#: scale, of the two others and of the opacity (Improved-GS, 2025).
HALF_OFFSET = 3 * 0.45
HALF_LENGTH, HALF_WIDTH, HALF_OPACITY = 0.55, math.sqrt(1 - 0.45**2), 0.6


def scattered(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """[2 M] smaller copies of each parent at places drawn from its own distribution; the first copies of all come
    first."""
    copies = Gaussians.concat([parents] * SCATTER_COUNT)
    drawn = torch.randn(len(copies), 3, generator=generator).to(copies.means)
    copies.means = copies.means + rotate(copies.quats, drawn * copies.scales)
    copies.log_scales = copies.log_scales - math.log(SCATTER_SHRINK)
    return copies


def halves(parents: Gaussians) -> Gaussians:
    """[2 M] two copies of each parent, side by side along its longest axis; the first of all come first.

    Source:
        "Improving densification in 3D Gaussian splatting for high-fidelity rendering" (Improved-GS), 2025: the
        long-axis split.
    """
    longest = parents.log_scales.argmax(dim=1, keepdim=True)
    along = torch.zeros_like(parents.log_scales).scatter_(1, longest, 1.0)
    offset = rotate(parents.quats, along * parents.scales * HALF_OFFSET)
    shrink = along * math.log(HALF_LENGTH) + (1 - along) * math.log(HALF_WIDTH)
    opacity = HALF_OPACITY * parents.opacities
    half = Gaussians(
        means=parents.means + offset,
        quats=parents.quats,
        log_scales=parents.log_scales + shrink,
        opacity_logits=opacity.logit(),
        sh=parents.sh,
    )
    other = replace(half, means=parents.means - offset)
    return Gaussians.concat([half, other])


def rotate(quats: Tensor, vectors: Tensor) -> Tensor:
    """[M, 3] vectors turned by quaternions [M, 4], wxyz, of any length but zero.

    Column by column: torch is several times slower where it has to spread a column over three.
    """
    w, x, y, z = quats.unbind(1)
    a, b, c = vectors.unbind(1)
    twice = 2 / ((w * w + x * x) + (y * y + z * z)).clamp(min=1e-24)
    # t = 2 u x v / |q|^2, and v + w t + u x t, with u the quaternion's axis.
    t, s, r = twice * (y * c - z * b), twice * (z * a - x * c), twice * (x * b - y * a)
    return torch.stack([a + w * t + (y * r - z * s), b + w * s + (z * t - x * r), c + w * r + (x * s - y * t)], dim=1)
