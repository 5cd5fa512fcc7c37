"""What makes a photo differ from the scene it shows: chosen by name, one file each, all on one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from splat.train.config import TrainConfig
from splat.train.corrections.bilateral import BilateralGrids
from splat.train.corrections.depth import Depth
from splat.train.corrections.exposure import Exposure
from splat.train.corrections.poses import Poses
from splat.train.corrections.protocol import Correction, Corrections
from splat.train.corrections.transients import Transients

if TYPE_CHECKING:
    from splat.datasets.scene import Scene


def make_corrections(scene: Scene, config: TrainConfig, device: torch.device) -> Corrections:
    """Those that the settings ask for."""
    chosen: list[Correction] = []
    maps = config.corrections.depths
    if config.corrections.depth or maps is not None:
        chosen.append(Depth(scene, None if maps is None else Path(maps), config.iterations, device))
    if config.corrections.poses:
        chosen.append(Poses(scene, config.iterations, device))
    if config.corrections.exposure == "affine":
        chosen.append(Exposure(len(scene.views), len(scene.train), config.iterations, device))
    if config.corrections.exposure == "bilateral":
        chosen.append(BilateralGrids(len(scene.views), len(scene.train), config.iterations, device))
    if config.corrections.transients:
        chosen.append(Transients(len(scene.train), config.iterations))
    return Corrections(chosen)
