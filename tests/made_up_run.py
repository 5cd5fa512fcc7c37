"""The folder of a run that ended well: the made-up capture, and as its scene the very one it shows."""

from __future__ import annotations

import json
from pathlib import Path

from made_up import made_up_scene

from splat.datasets.scene import open_scene
from splat.formats import write
from splat.train.config import DataConfig, TrainConfig
from splat.train.run import describe_cameras, train


def write_run(capture: Path, folder: Path) -> Path:
    """As `splat train` leaves it after a step, but for the scene."""
    config = TrainConfig(iterations=1, max_gaussians=200, data=DataConfig(test_every=5))
    train(capture, folder, config)
    write(made_up_scene(), folder / "scene.ply")
    cameras = json.loads((folder / "cameras.json").read_text())
    assert cameras["views"] == describe_cameras(open_scene(capture, test_every=5))["views"]
    return folder
