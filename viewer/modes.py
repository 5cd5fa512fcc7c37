"""What a pixel of the picture says: the render modes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.ops.tiles import TILE, tiles
from splat.render import Rendering, render
from splat.train.density.children import rotate
from splat.viewer.colormap import coloured
from splat.viewer.ellipsoids import ellipsoids
from splat.viewer.frames import Color, Mode, Request

#: Colour maps of depth, near is high, and of counts.
DEPTH_MAP, COUNT_MAP = "turbo", "inferno"
#: Depth is coloured between these quantiles of the inverse depths that are seen, counts up to this one of theirs: a
#: few outliers do not decide, and the colours of a place change little from one frame to the next.
DEPTH_QUANTILES, COUNT_QUANTILE = (0.02, 0.98), 0.995
#: Below this opacity a pixel has no depth.
LEAST_ALPHA = 0.5
#: The renderer draws nothing fainter.
LEAST_OPACITY = 1 / 255
#: Counts are of cells of so many pixels a side.
CELL = 4
#: Standard deviation of a dot, px: it is half as bright 1 px from its middle.
DOT = 0.85


class Look(NamedTuple):
    """How a scene is drawn, wherever it is seen from.

    Attributes:
        mode: what a pixel says.
        background: red, green, blue in [0, 1] that show through.
        antialias: the mode of `splat.render`.
        near: depth below which nothing is drawn, scene units.
        sh_degree: highest SH degree that colours have; None for the scene's own.
        size: of the Gaussians, times their own.
    """

    mode: Mode
    background: Color
    antialias: str
    near: float
    sh_degree: int | None = None
    size: float = 1.0

    @staticmethod
    def of(request: Request, antialias: str, near: float) -> Look:
        """What a browser has chosen."""
        return Look(request.mode, request.background, antialias, near, request.sh_degree, request.size)

    def over(self, device: torch.device) -> Tensor:
        """[3] the background."""
        return torch.tensor(self.background, dtype=torch.float32, device=device)


class Drawing(NamedTuple):
    """A picture.

    Attributes:
        image: [H, W, 3] uint8, on the CPU.
        drawn: how many Gaussians are in it.
        ends: what the two ends of the colour map mean, in modes that have one.
    """

    image: Tensor
    drawn: int
    ends: tuple[float, float] | None = None


@torch.no_grad()
def draw(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    """Draws a scene for one camera."""
    if look.size != 1:
        gaussians = replace(gaussians, log_scales=gaussians.log_scales + math.log(look.size))
    return DRAWERS[look.mode](gaussians, camera.to(gaussians.device), look)


def _colour(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    rendering = render(
        gaussians,
        camera,
        background=look.over(gaussians.device),
        sh_degree=look.sh_degree,
        antialias=look.antialias,
        near=look.near,
    )
    return _drawing(rendering.rgb[0], rendering)


def _depth(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    """The median depth, near is red and far is blue."""
    rendering = _features(gaussians, camera, look, torch.empty(len(gaussians), 0, device=gaussians.device), depth=True)
    assert rendering.median_depth is not None
    depth, alpha = rendering.median_depth[0], rendering.alpha[0]
    inverse = 1 / depth.clamp(min=look.near)
    low, high = _quantiles(inverse[alpha >= LEAST_ALPHA], *DEPTH_QUANTILES)
    picture = coloured((inverse - low) / max(high - low, 1e-12), DEPTH_MAP)
    picture = torch.where((depth > 0)[..., None], picture, look.over(depth.device))
    return _drawing(picture, rendering, (1 / low, 1 / high) if low > 0 else None)


def _alpha(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    rendering = _features(gaussians, camera, look, torch.empty(len(gaussians), 0, device=gaussians.device))
    return _drawing(rendering.alpha[0, ..., None].expand(-1, -1, 3), rendering)


def _normals(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    """Blended shortest axes: right is red, up is green, towards the camera is blue."""
    rendering = _features(gaussians, camera, look, normals(gaussians, camera))
    normal = torch.nn.functional.normalize(rendering.rgb[0], dim=-1)
    alpha = rendering.alpha[0, ..., None]
    return _drawing(alpha * (0.5 + 0.5 * normal) + (1 - alpha) * look.over(alpha.device), rendering)


def _count(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    rendering = _features(gaussians, camera, look, torch.empty(len(gaussians), 0, device=gaussians.device))
    count = counts(rendering, camera.width, camera.height)
    (most,) = _quantiles(count.flatten(), COUNT_QUANTILE)
    most = max(most, 1.0)
    return _drawing(coloured(count / most, COUNT_MAP), rendering, (0.0, most))


def _ellipsoids(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    image, drawn = ellipsoids(gaussians, camera, look.over(gaussians.device), look.near, look.sh_degree)
    return Drawing(_to_bytes(image), drawn)


def _points(gaussians: Gaussians, camera: Cameras, look: Look) -> Drawing:
    """Each Gaussian as an opaque dot, however large it is; those too faint to be drawn at all are left out."""
    depths = gaussians.means @ camera.viewmats[0, 2, :3] + camera.viewmats[0, 2, 3]
    # What the filter of the renderer adds is taken off before.
    deviation = math.sqrt(max((look.size * DOT) ** 2 - 0.3, 1e-4)) / camera.Ks[0, 0, 0]
    dots = replace(
        gaussians,
        log_scales=(depths.clamp(min=look.near) * deviation).log()[:, None].expand(-1, 3),
        opacity_logits=torch.where(gaussians.opacities < LEAST_OPACITY, -10.0, 10.0),
    )
    return _colour(dots, camera, look._replace(antialias="classic"))


DRAWERS: dict[Mode, Callable[[Gaussians, Cameras, Look], Drawing]] = {
    "colour": _colour,
    "depth": _depth,
    "alpha": _alpha,
    "normals": _normals,
    "count": _count,
    "ellipsoids": _ellipsoids,
    "points": _points,
}


def halved(image: Tensor) -> Tensor:
    """[2 H, 2 W, 3] uint8 to [H, W, 3], each pixel the mean of four."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    return image.view(height, 2, width, 2, 3).float().mean(dim=(1, 3)).round().byte()


def normals(gaussians: Gaussians, camera: Cameras) -> Tensor:
    """[N, 3] unit vectors along the shortest axis of each Gaussian, on the side that faces the camera: its right, its
    up, and towards it."""
    rotation, translation = camera.viewmats[0, :3, :3], camera.viewmats[0, :3, 3]
    shortest = torch.nn.functional.one_hot(gaussians.log_scales.argmin(1), 3).to(gaussians.means.dtype)
    axes = rotate(gaussians.quats, shortest) @ rotation.T
    away = (axes * (gaussians.means @ rotation.T + translation)).sum(1, keepdim=True) > 0
    return torch.where(away, -axes, axes) * axes.new_tensor([1.0, -1.0, -1.0])


def counts(rendering: Rendering, width: int, height: int) -> Tensor:
    """[H, W] how many Gaussians reach alpha 1/255 somewhere in the cell of 4 x 4 pixels that a pixel is in, hidden
    ones too."""
    # The lists of tiles, on an image so much larger that a tile is a cell.
    factor = TILE // CELL
    lists = tiles(
        rendering.means2d * factor,
        rendering.conics / factor**2,
        rendering.depths,
        rendering.opacities,
        rendering.extents * factor,
        width * factor,
        height * factor,
    )
    rows, columns = -(-height // CELL), -(-width // CELL)
    cells = lists.offsets.diff().reshape(rows, columns)
    return cells.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[:height, :width].float()


def _features(gaussians: Gaussians, camera: Cameras, look: Look, features: Tensor, *, depth: bool = False) -> Rendering:
    return render(gaussians, camera, features=features, antialias=look.antialias, near=look.near, depth=depth)


def _quantiles(values: Tensor, *quantiles: float) -> list[float]:
    """Of at most some ten thousand of the values, evenly picked; 0 where there are none."""
    if not len(values):
        return [0.0] * len(quantiles)
    return torch.quantile(values[:: 1 + len(values) // 30_000], values.new_tensor(quantiles)).tolist()


def _drawing(image: Tensor, rendering: Rendering, ends: tuple[float, float] | None = None) -> Drawing:
    return Drawing(_to_bytes(image), int(rendering.visible.sum()), ends)


def _to_bytes(image: Tensor) -> Tensor:
    """[H, W, 3] in [0, 1] to uint8, rounded."""
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()
