"""Gaussians on a far sphere, so that sky and distant land need not be built of mist in front of the cameras.

They are ordinary Gaussians: every file format and viewer shows them without knowing of them. They are put only where
photos taken from different places show the same colour in the same direction, which is so for what is far away.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splat.cameras import pixels

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Distance of the sphere from the cameras' mean, in extents.
RADIUS = 10.0
#: Standard deviation over the photos up to which a direction's colours agree, of 255.
AGREEMENT = 20.0
#: Photos that have to agree at least.
LEAST_PHOTOS = 2
#: Directions to estimate by how much of the sphere is wanted.
PROBES = 10_000


def sky_points(scene: Scene, count: int) -> tuple[Tensor, Tensor, float]:
    """Where the sphere has Gaussians: at most `count`, evenly spaced, and none where the photos disagree.

    Returns:
        [S, 3] positions, normalised world; [S, 3] uint8 colours, the photos' mean; and the distance between neighbours.
    """
    if count == 0:
        return torch.empty(0, 3), torch.empty(0, 3, dtype=torch.uint8), 1.0
    # Photos see but a part of the sphere, which a look at a few directions tells.
    seen, _ = _agreed(scene, even_directions(PROBES))
    whole = count / max(1 / PROBES, float(seen.float().mean()))
    directions = even_directions(int(min(whole, 100 * count)))
    agreed, colours = _agreed(scene, directions)
    chosen = agreed.nonzero()[:count, 0]
    centre = torch.cat([scene.views[view].camera.positions for view in scene.train]).mean(dim=0)
    radius = RADIUS * scene.extent
    spacing = radius * math.sqrt(4 * math.pi / len(directions))
    return centre + radius * directions[chosen], colours[chosen].round().byte(), spacing


def _agreed(scene: Scene, directions: Tensor) -> tuple[Tensor, Tensor]:
    """[D] bool: in which directions several photos show the same colour; and [D, 3] their mean, of 255."""
    number = torch.zeros(len(directions))
    total, squares = torch.zeros_like(directions), torch.zeros_like(directions)
    for view in scene.train:
        camera, mask = scene.views[view].camera, scene.mask(view)
        # At infinity, a camera's place does not matter.
        place = pixels(camera, directions @ camera.viewmats[0, :3, :3].T)
        size = torch.tensor([camera.width, camera.height])
        seen = ((place >= 0) & (place < size)).all(dim=1).nonzero()[:, 0]
        column, row = place[seen].long().unbind(1)
        if mask is not None:
            counts = mask[row, column] > 0
            seen, column, row = seen[counts], column[counts], row[counts]
        colour = scene.image(view)[row, column].float()
        number[seen] += 1
        total[seen] += colour
        squares[seen] += colour * colour
    mean = total / number.clamp(min=1)[:, None]
    variance = (squares / number.clamp(min=1)[:, None] - mean * mean).clamp(min=0).sum(dim=1)
    return (number >= LEAST_PHOTOS) & (variance <= AGREEMENT * AGREEMENT), mean


def even_directions(count: int) -> Tensor:
    """[count, 3] unit vectors on a spiral between the poles, each with as much area around it (Fibonacci's lattice)."""
    index = torch.arange(count, dtype=torch.float64)
    height = 1 - (2 * index + 1) / count
    angle = index * math.pi * (3 - math.sqrt(5))
    flat = (1 - height * height).sqrt()
    return torch.stack([flat * angle.cos(), height, flat * angle.sin()], dim=1).float()
