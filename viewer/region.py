"""A part of space: a box at any angle, or a ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from splat.viewer.camera import Array

Shape = Literal["box", "sphere"]


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the scene.

    Attributes:
        centre: [3] in the scene.
        rotation: [3, 3] whose rows are the directions of the region's own axes in the scene.
        half: [3] half of the extents along them; of a sphere, the three radii.
    """

    shape: Shape
    centre: Array
    rotation: Array
    half: Array

    def contains(self, points: Tensor) -> Tensor:
        """[N] bool of points [N, 3], the surface included."""
        centre, rotation, half = (torch.from_numpy(part).to(points) for part in (self.centre, self.rotation, self.half))
        shares = ((points - centre) @ rotation.T / half).abs()
        return (shares <= 1).all(1) if self.shape == "box" else shares.square().sum(1) <= 1
