"""How far the copy of a scene is from the original: in pictures, as people will see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splat.evaluate.metrics import psnr, render_view
from splat.export.progress import Progress
from splat.export.views import Views
from splat.gaussians import Gaussians


@dataclass(frozen=True)
class ViewLoss:
    """One view's scores, dB.

    Attributes:
        name: the view's.
        psnr: of the copy against the original.
        original, copy: of each against the photo; None where there is none.
    """

    name: str
    psnr: float
    original: float | None
    copy: float | None


def compare(original: Gaussians, copy: Gaussians, views: Views, progress: Progress | None = None) -> list[ViewLoss]:
    """Renders both, each with its own filter, from every view that is judged.

    Args:
        original, copy: on one device.
    """
    progress, losses = progress or Progress(), []
    for view in progress.track(views.judged, "compare", len(views.judged)):
        first, second = (
            render_view(scene, view.camera, antialias=scene.antialias, background=views.background)
            for scene in (original, copy)
        )
        found = views.photo(view, original.device)
        against_photo = None, None
        if found is not None:
            against_photo = float(psnr(first, *found)), float(psnr(second, *found))
        losses.append(ViewLoss(view.name, float(psnr(second, first)), *against_photo))
    return losses


def mean(losses: Sequence[ViewLoss], name: str) -> float | None:
    """The mean of one score over the views; None where it is missing."""
    values = [value for loss in losses if (value := getattr(loss, name)) is not None]
    return sum(values) / len(values) if values else None
