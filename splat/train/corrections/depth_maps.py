"""Depth maps of photos, of whatever scale: fitted to the reconstructed points that each photo shows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.datasets.frames import counted, listed
from splat.datasets.photo import Photo, straighten
from splat.errors import SplatError
from splat.train.corrections.sightings import Sightings

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

Map = NDArray[np.float32]

#: Points that a map must be fitted to at least.
LEAST_POINTS = 10
#: Share of the spread of the points' disparities that a fit may leave unexplained at most.
UNEXPLAINED = 0.5
#: Rounds in which the fit gives less weight to what it misses.
ROUNDS = 30


def aligned_maps(scene: Scene, folder: Path, seen: dict[int, Sightings]) -> dict[int, Tensor]:
    """[H, W] disparities in the world's unit, 0 where unknown, of each training photo that has a map it can trust.

    A map is a 16-bit PNG or a .npy file, named like the photo (a.jpg.png, a.png, a.npy), of the photo as it is stored,
    at any size. It holds disparities, up to a scale and an offset as networks estimate them from one photo, or depths,
    as sensors measure them, up to a scale; which of the two is what fits more photos' points. Zeros and what is not
    finite are gaps.

    Raises:
        SplatError: there is no such folder, none of the maps can be used, or one cannot be read.
    """
    if not folder.is_dir():
        raise SplatError(f"{folder} is no folder, so there are no depth maps in it; check the path")
    maps, missing = {}, []
    for view in scene.train:
        path = _find(folder, scene.views[view].name)
        if path is None:
            missing.append(scene.views[view].name)
        else:
            maps[view] = _read(path, scene.photos[view])
    fits = [{view: _fit(maps[view], seen.get(view), inverted) for view in maps} for inverted in (False, True)]
    trusted = max(fits, key=lambda fit: sum(disparities is not None for disparities in fit.values()))
    left_out = [scene.views[view].name for view in maps if trusted[view] is None]
    for names, what in ((missing, "without a depth map"), (left_out, "with one that does not fit the points")):
        if names:
            warnings.warn(f"{counted(len(names), 'photo')} {what} in {folder}: {listed(names)}.", stacklevel=2)
    found = {view: disparities for view, disparities in trusted.items() if disparities is not None}
    if not found:
        raise SplatError(f"{folder} holds no depth map that can be used; check their names, or train without them")
    return found


def _find(folder: Path, name: str) -> Path | None:
    plain = folder / Path(name).with_suffix("")
    candidates = [folder / f"{name}.png", folder / f"{name}.npy", plain.with_suffix(".png"), plain.with_suffix(".npy")]
    candidates += [folder / path.name for path in candidates]
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Path, photo: Photo) -> Map:
    """[H, W] as the photo is trained on: straightened, resized, turned; NaN in gaps."""
    from PIL import Image

    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as image:
                values = np.array(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise SplatError(f"{path} cannot be read as a depth map ({error}); make it again or remove it") from error
    values = values.squeeze()
    if values.ndim != 2 or values.dtype.kind not in "fiu":  # noqa: PLR2004
        raise SplatError(f"{path} is no depth map: it has shape {values.shape}, not one number a pixel")
    values = values.astype(np.float32)
    values[~np.isfinite(values) | (values == 0)] = np.nan
    return straighten(values, photo)


def _fit(values: Map, points: Sightings | None, inverted: bool) -> Tensor | None:
    """Disparities by a line through those of the points, in least absolute differences; None where it fits badly.

    Args:
        inverted: the values are depths; then only a scale is fitted.
    """
    known = torch.from_numpy(1 / values if inverted else values)
    if points is None:
        return None
    height, width = known.shape
    column, row = (points.places * torch.tensor([width, height])).long().unbind(1)
    x, y = known[row, column].double(), points.disparities.double()
    x, y = x[x.isfinite()], y[x.isfinite()]
    if len(x) < LEAST_POINTS:
        return None
    columns = [x] if inverted else [x, torch.ones_like(x)]
    design, weights = torch.stack(columns, dim=1), torch.ones_like(x)
    line, missed = torch.zeros(len(columns), dtype=torch.float64), y.abs()
    for _ in range(ROUNDS):
        # Least squares, weighted so that in the end each difference counts by its size alone.
        line = torch.linalg.lstsq(design * weights[:, None], y * weights).solution
        missed = (design @ line - y).abs()
        weights = missed.clamp(min=1e-6 * float(y.abs().median())).rsqrt()
    spread = (y - y.median()).abs().mean()
    if not (line[0] > 0 and missed.mean() <= UNEXPLAINED * spread):
        return None
    disparities = line[0] * known + (0 if inverted else line[1])
    return torch.where(disparities > 0, disparities, 0).nan_to_num(0).float()
