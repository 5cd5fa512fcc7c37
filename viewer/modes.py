"""What a pixel of the picture says: the render modes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.render import render
from splat.viewer.frames import Color, Mode


class Look(NamedTuple):
    """How a scene is drawn, wherever it is seen from.

    Attributes:
        mode: what a pixel says.
        background: red, green, blue in [0, 1] that show through.
        antialias: the mode of `splat.render`.
        near: depth below which nothing is drawn, scene units.
    """

    mode: Mode
    background: Color
    antialias: str
    near: float


class Drawing(NamedTuple):
    """A picture [H, W, 3] uint8 on the CPU, and how many Gaussians are in it."""

    image: Tensor
    drawn: int


@torch.no_grad()
def draw(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    """Draws a scene for one camera."""
    rendering = render(
        gaussians,
        camera.to(gaussians.device),
        background=torch.tensor(look.background, dtype=torch.float32, device=gaussians.device),
        antialias=look.antialias,
        near=look.near,
    )
    return Drawing(_to_bytes(rendering.rgb[0]), int(rendering.visible.sum()))


def _to_bytes(image: Tensor) -> Tensor:
    """[H, W, 3] in [0, 1] to uint8, rounded."""
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()
