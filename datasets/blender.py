"""transforms_train.json and its kin, as the NeRF synthetic data set has them: renderings with transparency."""

from __future__ import annotations

from pathlib import Path

from splat.datasets.frames import Capture
from splat.datasets.nerfstudio import read_frames, read_json
from splat.errors import SplatError

TRAIN, TEST, VALIDATION = "transforms_train.json", "transforms_test.json", "transforms_val.json"


def load(path: Path) -> Capture:
    """Reads the training frames, and as held-out ones those for testing, or for validation where there are none.

    Raises:
        SplatError: no transforms_train.json, or a damaged one.
    """
    if not (path / TRAIN).is_file():
        raise SplatError(f"{path / TRAIN} does not exist; check the path")
    capture = Capture(path)
    held_out = next((name for name in (TEST, VALIDATION) if (path / name).is_file()), None)
    for name in (TRAIN, held_out):
        if name is not None:
            # Without a file of held-out views, the usual split by name applies.
            is_test = None if held_out is None else name == held_out
            capture.frames += read_frames(path / name, read_json(path / name), capture.warnings, is_test)
    return capture
