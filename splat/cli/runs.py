"""A run's folder as commands see it, and the scene in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError

if TYPE_CHECKING:
    from splat.gaussians import Gaussians

SCENE, CAMERAS, CONFIG, METRICS, REPORT = "scene.ply", "cameras.json", "config.json", "metrics.jsonl", "report.html"


def scene_file(path: Path) -> Path:
    """The scene file that a run's folder or a file's own path means.

    Raises:
        SplatError: there is none.
    """
    if path.is_dir():
        if not (path / SCENE).is_file():
            raise SplatError(f"{path} holds no {SCENE}: give a run's folder (`splat train` makes one) or a scene file.")
        return path / SCENE
    return path


def check_output(source: Path, output: Path) -> None:
    """Checks the name of a file that is made of a scene file.

    Raises:
        SplatError: it is a folder's, or the scene's own, which would be lost.
    """
    if output.is_dir():
        raise SplatError(f"{output} is a folder: give the name of the file to write.")
    if output.exists() and source.exists() and output.samefile(source):
        raise SplatError(f"{output} is the scene itself, which would be lost: choose another name.")


def run_folder(path: Path) -> Path:
    """Checks that a folder is a run's.

    Raises:
        SplatError: it is not.
    """
    if not path.is_dir():
        raise SplatError(f"{path} is not a run's folder: give the folder that `splat train -o` made.")
    for name in (SCENE, CONFIG, CAMERAS):
        if not (path / name).is_file():
            raise SplatError(f"{path} holds no {name}, so it is not a finished run: train it to the end first.")
    return path


def read_scene(path: Path, device: str = "auto") -> tuple[Path, Gaussians]:
    """The scene file that a run's folder or a file's path means, and what is in it."""
    from splat.formats import read
    from splat.native import pick_device

    file = scene_file(path)
    return file, read(file).to(pick_device(device))
