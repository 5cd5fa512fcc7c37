"""The made-up scenes whose images are kept in tests/golden, for the test and for scripts/make_golden.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from splat.cameras import Cameras, intrinsics, look_at
from splat.gaussians import SH_C0, Gaussians
from splat.render import render

GOLDEN = Path(__file__).parent / "golden"
SIZE = 64


def rings() -> Gaussians:
    """Two crossing rings of flat, bright splats around a translucent ball; shines differently from each side."""
    steps = torch.arange(40, dtype=torch.float32) / 40
    angle = 2 * torch.pi * steps
    zero = torch.zeros_like(angle)
    flat_ring = torch.stack([angle.cos(), 0.25 * angle.sin(), angle.sin()], dim=-1)
    tall_ring = torch.stack([0.2 * angle.cos(), angle.cos(), angle.sin()], dim=-1)
    turned = torch.stack([(angle / 2).cos(), zero, (angle / 2).sin(), zero], dim=-1)
    colours = torch.stack([0.5 + 0.5 * angle.cos(), steps, 1 - steps], dim=-1)
    sh = torch.zeros(81, 4, 3)
    sh[:40, 0], sh[40:80, 0], sh[80, 0] = colours - 0.5, colours.flip(0) - 0.5, 0.45
    sh[:, 0] /= SH_C0
    sh[:80, 2] = 0.2  # brighter towards one side
    return Gaussians(
        means=torch.cat([flat_ring, tall_ring, torch.zeros(1, 3)]),
        quats=torch.cat([turned, turned, torch.tensor([[1.0, 0.0, 0.0, 0.0]])]),
        log_scales=torch.cat([torch.tensor([0.09, 0.12, 0.02]).expand(80, 3), torch.full((1, 3), 0.3)]).log(),
        opacity_logits=torch.cat([torch.full((80,), 3.0), torch.tensor([0.5])]),
        sh=sh,
    )


def camera(model: str = "pinhole") -> Cameras:
    viewmats = look_at(torch.tensor([[1.2, 0.9, -2.6]]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
    Ks = intrinsics(SIZE, SIZE, 1.0)[None]
    return Cameras(viewmats, Ks, SIZE, SIZE, model)  # pyright: ignore[reportArgumentType]


def levels(image: Tensor) -> Tensor:
    """[H, W, 3] uint8 of an image in [0, 1]."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def colour(model: str = "pinhole", antialias: str = "classic") -> Tensor:
    return levels(render(rings(), camera(model), background=torch.tensor([0.1, 0.15, 0.3]), antialias=antialias).rgb[0])


def depth() -> Tensor:
    # Accumulated, not expected: that one jumps on rims, where a last bit decides whether there is anything at all.
    accumulated = render(rings(), camera(), depth=True).accumulated_depth
    assert accumulated is not None
    return levels((accumulated[0, ..., None] / 5).expand(-1, -1, 3))


def golden_images() -> dict[str, Callable[[], Tensor]]:
    """What makes each image, by the name of its file."""
    return {
        "pinhole": colour,
        "fisheye": lambda: colour("fisheye"),
        "antialiased": lambda: colour(antialias="antialiased"),
        "depth": depth,
    }
