"""What makes a photo differ from the scene it shows: chosen by name, one file each, all on one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from splat.train.config import TrainConfig
from splat.train.corrections.protocol import Correction, Corrections

if TYPE_CHECKING:
    from splat.datasets.scene import Scene


def make_corrections(scene: Scene, config: TrainConfig, device: torch.device) -> Corrections:
    """Those that the settings ask for."""
    chosen: list[Correction] = []
    return Corrections(chosen)
