"""Scenes for formats that round what shows less more, and what to compare their copies by."""

from __future__ import annotations

import torch

from splat.gaussians import Gaussians


def even_gaussians(count: int, degree: int, seed: int = 0) -> Gaussians:
    """Random ones of which none shows much less than another, within what SPZ can hold."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * (high - low) + low

    return Gaussians(
        uniform(-3, 3, count, 3),
        torch.randn(count, 4, generator=generator),
        uniform(-3.1, -3, count, 3),
        uniform(1, 1.5, count),
        uniform(-0.95, 0.95, count, (degree + 1) ** 2, 3),
    )


def angles(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """[N] between rotations, radians."""
    a, b = (torch.nn.functional.normalize(quats.double(), dim=-1) for quats in (a, b))
    return 2 * torch.minimum((a - b).norm(dim=-1), (a + b).norm(dim=-1))


def matched(scene: Gaussians, copy: Gaussians) -> Gaussians:
    """The scene in the order of its copy, by positions."""
    nearest = torch.cdist(copy.means.double(), scene.means.double()).argmin(1)
    assert nearest.unique().numel() == len(scene)
    return scene.select(nearest)
