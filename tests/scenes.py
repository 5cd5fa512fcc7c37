"""Gaussians on the image plane, as `project` would hand them to `tiles` and `blend`, for the tests of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from backends import rand
from torch import Tensor

from splat.ops.tiles import TileLists, tiles
from splat.reference.blend import alphas, sigmas
from splat.reference.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN


@dataclass
class Flat:
    """C cameras, N Gaussians, D channels; the arguments of `tiles` and `blend`."""

    means2d: Tensor
    conics: Tensor
    depths: Tensor
    opacities: Tensor
    extents: Tensor
    colours: Tensor
    background: Tensor
    width: int
    height: int

    def lists(self, bound: int | None = None) -> TileLists:
        geometry = (self.means2d, self.conics, self.depths, self.opacities, self.extents)
        return tiles(*geometry, self.width, self.height, bound=bound)

    def within(self, bound: int) -> Flat:
        """Without the Gaussians from the first on whose instances, and those before them, are more than the bound."""
        fits = (self.lists().gaussian_offsets[1:] <= bound).view_as(self.depths)
        return replace(self, extents=self.extents * fits[..., None])

    def leaves(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Fresh copies of what `blend` is differentiable in: means2d, conics, opacities, colours, background."""
        tensors = (self.means2d, self.conics, self.opacities, self.colours, self.background)
        return [tensor.detach().to(dtype).clone().requires_grad_() for tensor in tensors]

    def select(self, index: Tensor) -> Flat:
        """The Gaussians that an index or a mask picks, in every camera."""
        picked = ("means2d", "conics", "depths", "opacities", "extents", "colours")
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Flat(**{key: value[:, index] if key in picked else value for key, value in values.items()})


def flat(means2d: Tensor, sigmas_px: Tensor, angles: Tensor, opacities: Tensor, **rest) -> Flat:
    """Gaussians by their standard deviations [C, N, 2] along axes turned by angles [C, N]."""
    cos, sin = angles.cos(), angles.sin()
    u, v = (sigmas_px**2).unbind(-1)
    inverse_u, inverse_v = 1 / u, 1 / v
    conics = torch.stack(
        [
            cos * cos * inverse_u + sin * sin * inverse_v,
            cos * sin * (inverse_u - inverse_v),
            sin * sin * inverse_u + cos * cos * inverse_v,
        ],
        dim=-1,
    )
    variances = torch.stack([cos * cos * u + sin * sin * v, sin * sin * u + cos * cos * v], dim=-1)
    reach = torch.sqrt((2 * torch.log(opacities / ALPHA_MIN)).clamp(min=0))
    extents = reach[..., None] * variances.sqrt()
    return Flat(means2d=means2d, conics=conics, opacities=opacities, extents=extents, **rest)


def random_flat(
    count: int,
    *,
    cameras: int = 1,
    channels: int = 3,
    width: int = 50,
    height: int = 37,
    size: tuple[float, float] = (0.6, 6.0),
    opacity: tuple[float, float] = (0.01, 0.99),
    seed: int = 0,
) -> Flat:
    """Gaussians all over and around the image."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * rand(*shape, generator=generator)

    return flat(
        uniform(-10, 10, cameras, count, 2) + torch.tensor([width, height]) * uniform(0, 1, cameras, count, 2),
        uniform(*size, cameras, count, 2),
        uniform(0, math.pi, cameras, count),
        uniform(*opacity, cameras, count),
        depths=uniform(1, 5, cameras, count),
        colours=uniform(0, 1, cameras, count, channels),
        background=uniform(0, 1, cameras, channels),
        width=width,
        height=height,
    )


def four_splats() -> Flat:
    """Four wide splats on 8 x 8 pixels; no pixel of them is near a threshold."""
    return flat(
        torch.tensor([[[2.1, 3.2], [5.4, 4.9], [4.0, 1.5], [3.3, 6.2]]]),
        torch.tensor([[[4.0, 6.0], [5.0, 7.0], [6.0, 4.5], [5.5, 6.5]]]),
        torch.tensor([[0.3, 1.2, 2.0, 2.7]]),
        torch.tensor([[0.7, 0.5, 0.6, 0.4]]),
        depths=torch.tensor([[1.0, 2.0, 3.0, 4.0]]),
        colours=torch.tensor([[[0.9, 0.2, 0.1], [0.1, 0.7, 0.3], [0.2, 0.3, 0.8], [0.6, 0.6, 0.2]]]),
        background=torch.tensor([[0.2, 0.5, 0.9]]),
        width=8,
        height=8,
    )


def is_smooth(scene: Flat) -> Tensor:
    """[C, H, W] bool: pixels where no decision of the blending is close.

    A kernel in float32 may decide the other way within rounding of alpha = 1/255, alpha = 0.999, sigma = 0 or
    T = 1e-4, where the image jumps or its gradient does, so the two are compared elsewhere.
    """
    means2d, conics, opacities = scene.means2d.double(), scene.conics.double(), scene.opacities.double()
    sigma = sigmas(means2d, conics, scene.width, scene.height)
    raw = opacities[..., None] * torch.exp(-sigma)
    close = ((raw / ALPHA_MIN - 1).abs() < 1e-3) | ((raw / ALPHA_MAX - 1).abs() < 1e-5) | (sigma.abs() < 1e-7)
    alpha = alphas(means2d, conics, opacities, scene.width, scene.height)
    order = torch.argsort(scene.depths, dim=1, stable=True)
    behind = torch.cumprod(1 - alpha.gather(1, order[..., None].expand_as(alpha)), dim=1)
    close |= (behind / TRANSMITTANCE_MIN - 1).abs() < 1e-3
    return ~close.any(dim=1).reshape(len(means2d), scene.height, scene.width)
