"""How much of the picture floats where nothing should be, seen from beside the path that the photos were taken on.

Views between the photos hide what floats in front of a camera, in a corner that one photo saw, or as fog along the
rays: training has made it look right from there. A step aside shows it. No photo is needed to tell, only where the
scene itself, seen from its training cameras, has its surfaces; so what all of them see as solid counts as a surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.render import render

#: How far from a surface a Gaussian may be and still belong to it, in depths of the surface.
TOLERANCE = 0.1
#: What one view alone takes for a surface floats if it is nearer than this share of what the view mostly shows.
NEAR = 0.25
#: Training cameras that are moved, at even intervals, and where to: right, left, down, up and forwards, in extents.
CAMERAS, MOVE = 16, 0.25
DIRECTIONS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1))
#: Longer side of all images, pixels.
SIDE = 400


@dataclass(frozen=True)
class Floaters:
    """What floats, seen from off the path.

    Attributes:
        score: percent of the images' area that floating Gaussians cover, by blending weight; 0 is clean.
        worst: the same of the worst image.
        views: number of images.
    """

    score: float
    worst: float
    views: int


def score_floaters(gaussians: Gaussians, cameras: Sequence[Cameras], extent: float, antialias: str) -> Floaters:
    """Renders the scene from training cameras moved aside, and sums the weight of the Gaussians that float.

    Args:
        cameras: of the training views, each a batch of one, on the scene's device.
        extent: of the cameras, world units, as `Scene.extent`.
        antialias: as for `render`.
    """
    small = [_small(camera) for camera in cameras]
    floating = floats(gaussians, small, antialias)[:, None].to(gaussians.means.dtype)
    covered = []
    for camera in small[:: max(len(small) // CAMERAS, 1)][:CAMERAS]:
        for direction in DIRECTIONS:
            with torch.no_grad():
                image = render(
                    gaussians, _moved(camera, direction, MOVE * extent), features=floating, antialias=antialias
                )
            covered.append(100 * float(image.rgb.mean()))
    return Floaters(sum(covered) / len(covered), max(covered), len(covered))


@torch.no_grad()
def floats(gaussians: Gaussians, cameras: Sequence[Cameras], antialias: str) -> Tensor:
    """[N] bool: Gaussians in space that training views see as empty.

    A view sees a surface where half of its light stops (the median depth). A Gaussian whose centre it shows there
    belongs to that surface; one that is nearer hangs in empty space; of one that is hidden the view says nothing. A
    Gaussian floats if more views see through it than take it for a surface, or if only one takes it for a surface,
    which is far nearer than all else there. One that no view shows does not.
    """
    zeros = torch.zeros(len(gaussians), dtype=torch.int32, device=gaussians.means.device)
    seen_through, on_surface, close = zeros, zeros, zeros.bool()
    for camera in cameras:
        image = render(gaussians, camera, antialias=antialias, depth=True)
        assert image.median_depth is not None
        surface = torch.where(image.median_depth[0] > 0, image.median_depth[0], torch.inf)
        column, row = image.means2d[0].nan_to_num(-1).floor().long().unbind(1)
        shown = image.visible[0] & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        behind = surface[row.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1)]
        depth = image.depths[0]
        here = shown & (depth >= (1 - TOLERANCE) * behind) & (depth <= (1 + TOLERANCE) * behind)
        seen_through = seen_through + (shown & (depth < (1 - TOLERANCE) * behind))
        on_surface = on_surface + here
        close = close | (here & (depth < NEAR * surface.median()))
    return (seen_through > on_surface) | (close & (on_surface == 1))


def _small(camera: Cameras) -> Cameras:
    factor = max(camera.width, camera.height) / SIDE
    return camera if factor <= 1 else camera.resized(round(camera.width / factor), round(camera.height / factor))


def _moved(camera: Cameras, direction: tuple[int, int, int], distance: float) -> Cameras:
    """The camera shifted along its own axes, looking the same way."""
    viewmats = camera.viewmats.clone()
    viewmats[:, :3, 3] -= distance * torch.tensor(direction, dtype=viewmats.dtype, device=viewmats.device)
    return replace(camera, viewmats=viewmats)
