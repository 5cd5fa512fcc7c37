"""What every loader hands over: photos with a lens and a pose, before any photo has been opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import pi
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from splat.datasets.lens import Lens


@dataclass(frozen=True)
class Frame:
    """A photo and the camera that took it.

    Attributes:
        name: how the capture calls it; unique, sorted by.
        path: the photo; it need not exist.
        lens: in the pixels of the photo as stored, unless its size says otherwise (see images.Photo).
        cam_from_world: [4, 4] rigid, OpenCV axes.
        mask: a picture that is black where the photo is not to be used.
        is_test: held out, where the capture itself says so.
    """

    name: str
    path: Path
    lens: Lens
    cam_from_world: NDArray[np.float64]
    mask: Path | None = None
    is_test: bool | None = None


@dataclass
class Capture:
    """A capture as its files describe it.

    Attributes:
        images: the folder of photos, whose siblings images_2, images_4, ... may hold smaller copies.
        points: [P, 3] reconstructed points, capture's world; may be empty.
        colors: [P, 3] uint8.
        tracks: which points a photo shows, rows of `points`, by the frame's name; empty where nobody noted it.
        warnings: one sentence for each thing that was left out.
    """

    images: Path
    frames: list[Frame] = field(default_factory=list)
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    colors: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    tracks: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def cube(frame: Frame) -> list[Frame]:
    """The six views, 90 degrees wide, that a panorama is cut into: no pinhole camera shows more than half a sphere."""
    path, faces = PurePosixPath(frame.name), []
    for side, (yaw, pitch) in CUBE.items():
        lens = replace(frame.lens, yaw=yaw, pitch=pitch)
        turn = np.eye(4)
        turn[:3, :3] = lens.view_from_panorama
        name = str(path.with_name(f"{path.stem}_{side}{path.suffix}"))
        faces.append(replace(frame, name=name, lens=lens, cam_from_world=turn @ frame.cam_from_world))
    return faces


#: Where each face of a panorama's cube looks: yaw to the right, pitch down.
CUBE = {"front": (0.0, 0.0), "right": (pi / 2, 0.0), "back": (pi, 0.0), "left": (-pi / 2, 0.0)}
CUBE |= {"down": (0.0, pi / 2), "up": (0.0, -pi / 2)}


def listed(names: Sequence[str], shown: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def counted(count: int, what: str) -> str:
    """Such as "1 photo" and "3 photos"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
