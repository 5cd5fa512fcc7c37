"""cameras.json: the views of a run, or a camera path made by hand, in the world of a scene file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splat.cameras import CAMERA_MODELS, Cameras
from splat.errors import SplatError


@dataclass(frozen=True)
class NamedCamera:
    """One view of cameras.json: a batch of one camera, in the world of the scene file.

    Attributes:
        split: "train", "test" or, in a hand-made file, empty.
    """

    name: str
    camera: Cameras
    split: str


def read_cameras(path: Path) -> list[NamedCamera]:
    """The views of a cameras.json, in their order.

    The file holds {"views": [{"name", "width", "height", "model", "K" [3][3], "viewmat" [4][4], "split",
    "distortion" [D]}]}; a view's numbers are those of `Cameras`, in the world of the scene file. name, model, split and
    distortion may be left out.

    Raises:
        SplatError: the file is absent or does not hold that.
    """
    return cameras_from(read_object(path), path)


def cameras_from(values: dict[str, Any], path: Path) -> list[NamedCamera]:
    """As `read_cameras`, from what has already been read from the file."""
    views = values.get("views")
    if not isinstance(views, list) or not views:
        raise SplatError(f'{path} has no list "views" of cameras: see a run\'s cameras.json for how one looks.')
    named = []
    for position, view in enumerate(views):
        try:
            named.append(_named_camera(view, f"{position:05d}"))
        except (KeyError, TypeError, ValueError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise SplatError(f"{path}: view {position} is not a camera ({why}): correct it or leave it out.") from error
    return named


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        SplatError: the file is absent or holds none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SplatError(f"{path} cannot be read: {error.strerror or error}; check the path.") from error
    except ValueError as error:
        raise SplatError(f"{path} is not JSON ({error}): it may be cut short, get it again.") from error
    if not isinstance(values, dict):
        raise SplatError(f"{path} does not hold a JSON object: check that it is the right file.")
    return values


def _named_camera(view: dict[str, Any], default_name: str) -> NamedCamera:
    viewmat, K = (torch.tensor(view[key], dtype=torch.float32) for key in ("viewmat", "K"))
    if not viewmat.isfinite().all() or not K.isfinite().all():
        raise ValueError("a matrix holds a number that is not finite")
    model = str(view.get("model", CAMERA_MODELS[0]))
    if model not in CAMERA_MODELS:
        raise ValueError(f"model is {model!r}, not one of {', '.join(CAMERA_MODELS)}")
    distortion = torch.tensor([view["distortion"]], dtype=torch.float32) if view.get("distortion") else None
    camera = Cameras(viewmat[None], K[None], int(view["width"]), int(view["height"]), model, distortion)
    return NamedCamera(str(view.get("name", default_name)), camera, str(view.get("split", "")))
