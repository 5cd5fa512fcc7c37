"""Which reconstructed points each photo shows, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from splat.cameras import Cameras, pixels

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Cells along the longer side of an image, in each of which the nearest points hide what is behind them.
CELLS = 48
#: How much farther than the nearest point in its cell another may be and still be shown.
BEHIND = 1.05


class Sightings(NamedTuple):
    """The points that a photo shows.

    Attributes:
        places: [K, 2] x, y in images; the image is 1 wide and 1 high.
        disparities: [K] inverse distances along the optical axis, world units.
    """

    places: Tensor
    disparities: Tensor


def sightings(scene: Scene) -> dict[int, Sightings]:
    """The points that each training photo shows; photos that show none are left out.

    COLMAP tells in which photos it found a point. Elsewhere a point counts as shown where it lies in the image and no
    other that is clearly nearer lies next to it.
    """
    found = {}
    for view in scene.train:
        camera = scene.views[view].camera
        if view in scene.tracks:
            places, depths = _project(scene.points[scene.tracks[view]], camera)
        else:
            places, depths = _project(scene.points, camera)
            shown = _nearest(places, depths)
            places, depths = places[shown], depths[shown]
        if len(places):
            found[view] = Sightings(places, 1 / depths)
    return found


def _project(points: Tensor, camera: Cameras) -> tuple[Tensor, Tensor]:
    """Places [K, 2] and depths [K] of those points that lie in the image."""
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    places = pixels(camera, local) / torch.tensor([camera.width, camera.height])
    inside = ((places >= 0) & (places < 1)).all(dim=1)
    return places[inside], local[inside, 2]


def _nearest(places: Tensor, depths: Tensor) -> Tensor:
    """[K] bool: which are not behind another in their cell."""
    column, row = (places * CELLS).long().unbind(1)
    cell = row * CELLS + column
    nearest = torch.full((CELLS * CELLS,), torch.inf).scatter_reduce(0, cell, depths, "amin")
    return depths <= BEHIND * nearest[cell]
