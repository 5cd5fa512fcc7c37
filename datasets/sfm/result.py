"""What a capture found: the model, the report, and the summary that callers get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from splat.datasets.frames import counted, listed
from splat.datasets.sfm import diagnosis, folder
from splat.datasets.sfm.features import camera_groups
from splat.datasets.sfm.page import Page
from splat.datasets.sfm.photos import Photo


@dataclass
class Found:
    """What the stages hand on.

    Attributes:
        photos: the usable ones.
        left_out: name in the source folder -> why it is not usable.
        features: how many each photo has.
        matches: of each pair compared, those that agree on one motion of the camera.
        matching: how the pairs were chosen.
        models: pycolmap.Reconstructions, the largest first; at least one.
        mapper: which mapper made them.
        seconds: time spent in each stage.
    """

    photos: list[Photo]
    left_out: dict[str, str]
    features: dict[str, int]
    matches: dict[tuple[str, str], int]
    matching: str
    models: list[Any]
    mapper: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class CaptureResult:
    """A finished capture.

    Attributes:
        output: the folder with images/, sparse/0/, capture.json and capture_report.html.
        photos: how many were usable.
        registered: names of the placed ones.
        unregistered: name -> the likeliest reason, of those not placed.
        left_out: name in the source folder -> why it was not usable.
        points: 3D points.
        reprojection_error: mean, px.
        track_length: mean number of photos that see a point.
        overlap: median number of placed photos that a placed photo shares 30 or more matches with.
        sharpness: median over the photos; see sfm.photos.sharpness.
        blurred: names of photos far less sharp than that.
        exposure_spread: stops between dark and bright photos.
        cameras: lenses told apart.
        mapper: "incremental" or "global".
        matching: how the pairs to compare were chosen.
        pairs: how many were compared.
        models: photos in each separate piece, the largest (the one kept) first.
        advice: what to do for a better capture, a sentence each.
        seconds: time spent in each stage by the run that finished.
        continued: an interrupted run, or a finished one, of the same photos was built on.
    """

    output: Path
    photos: int
    registered: list[str]
    unregistered: dict[str, str]
    left_out: dict[str, str]
    points: int
    reprojection_error: float
    track_length: float
    overlap: float
    sharpness: float
    blurred: list[str]
    exposure_spread: float
    cameras: int
    mapper: str
    matching: str
    pairs: int
    models: list[int]
    advice: list[str]
    seconds: dict[str, float] = field(default_factory=dict)
    continued: bool = False

    @property
    def warnings(self) -> list[str]:
        """What was left out, one sentence for each kind."""
        lines = []
        if self.left_out:
            lines.append(f"{counted(len(self.left_out), 'photo')} left out as unusable: {_reasons(self.left_out)}")
        if self.unregistered:
            missing = f"{len(self.unregistered)} of {self.photos} photos"
            lines.append(f"{missing} found no place: {_reasons(self.unregistered)}")
        return lines

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"output": str(self.output)}


def describe(work: Path, found: Found) -> CaptureResult:
    """Writes the model to sparse/0/ and the report, and sums up both."""
    best = found.models[0]
    folder.remove(work / "sparse")
    (work / "sparse" / "0").mkdir(parents=True)
    best.write_binary(work / "sparse" / "0")
    names = [{model.images[i].name for i in model.reg_image_ids()} for model in found.models]
    everyone = diagnosis.measure(found.photos, found.features, found.matches, names)
    result = _summary(work, found, everyone)
    page = Page(
        title=f"Capture of {counted(result.photos, 'photo')}",
        figures=_figures(result),
        advice=result.advice,
        reasons=result.unregistered,
        everyone=everyone,
        images=work / "images",
        centres=np.array([best.images[i].projection_center() for i in best.reg_image_ids()]),
        points=np.array([point.xyz for point in best.points3D.values()]),
    )
    (work / folder.REPORT).write_text(page.html(), encoding="utf-8")
    return result


def _summary(work: Path, found: Found, everyone: Sequence[diagnosis.Measured]) -> CaptureResult:
    best = found.models[0]
    placed = [photo for photo in everyone if photo.placed]
    error = float(best.compute_mean_reprojection_error())
    return CaptureResult(
        output=work,
        photos=len(found.photos),
        registered=[photo.photo.name for photo in placed],
        unregistered={p.photo.name: diagnosis.why_not_placed(p, everyone) for p in everyone if not p.placed},
        left_out=found.left_out,
        points=int(best.num_points3D()),
        reprojection_error=round(error, 3),
        track_length=round(float(best.compute_mean_track_length()), 2),
        overlap=median(photo.neighbours for photo in placed),
        sharpness=round(median(photo.photo.sharpness for photo in everyone), 1),
        blurred=diagnosis.blurred_photos(everyone),
        exposure_spread=round(diagnosis.exposure_spread(everyone), 2),
        cameras=len(camera_groups(found.photos)),
        mapper=found.mapper,
        matching=found.matching,
        pairs=len(found.matches),
        models=[model.num_reg_images() for model in found.models],
        advice=diagnosis.advice(everyone, error),
        seconds=found.seconds,
    )


def _figures(result: CaptureResult) -> dict[str, str]:
    """The report's first table."""
    placed = f"{len(result.registered)} of {result.photos}"
    if len(result.models) > 1:
        placed += f"; separate pieces of {listed([str(count) for count in result.models[1:]])} photos were dropped"
    return {
        "photos placed": placed,
        "left out as unusable": _reasons(result.left_out) or "none",
        "points": f"{result.points:,}, each seen in {result.track_length:.1f} photos",
        "reprojection error": f"{result.reprojection_error:.2f} px",
        "overlap": f"half of the photos overlap with {result.overlap:.0f} others or more",
        "sharpness": f"{result.sharpness:.0f} (the Laplacian's variance in the sharp parts), "
        f"{counted(len(result.blurred), 'blurred photo')}",
        "exposure spread": f"{result.exposure_spread:.2f} stops",
        "lenses told apart": str(result.cameras),
        "compared": f"{counted(result.pairs, 'pair')}: {result.matching}",
        "mapper": result.mapper,
        "time": ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in result.seconds.items()),
    }


def _reasons(photos: dict[str, str]) -> str:
    return listed([f"{name} ({why})" for name, why in photos.items()])
