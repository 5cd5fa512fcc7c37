"""What a scene's coordinates mean in the world: how long a unit is, and what is up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splat.viewer.camera import Array, upright


@dataclass(frozen=True)
class Scale:
    """How long one unit of the scene is.

    Attributes:
        length: in `unit`.
        unit: such as m; empty while nobody has said.
    """

    length: float = 1.0
    unit: str = ""

    def say(self, distance: float) -> str:
        """A distance in scene units, for a person."""
        return f"{distance * self.length:.4g} {self.unit or 'units'}"


def similarity(scale: Scale, up: Array) -> Tensor:
    """[4, 4] from a scene's coordinates to those in which a unit is a unit of length and up is -y, as captures have it.

    Args:
        up: [3] the direction in the scene.
    """
    y_down = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = scale.length * y_down @ torch.from_numpy(upright(up))
    return matrix
