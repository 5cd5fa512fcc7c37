"""report.html: one self-contained page that says how good a run is, and shows where it is best and worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from torch import Tensor

from splat.datasets.scene import Scene
from splat.evaluate.curves import curves, read_metrics
from splat.evaluate.layout import number, pictures, section, table, tiles, write_page
from splat.evaluate.metrics import ViewMetrics, mean, photo, render_view
from splat.evaluate.pictures import ERROR_WHITE, error_map
from splat.gaussians import Gaussians

#: How many of the best and of the worst views are shown.
SHOWN = 3
#: Scores in the table of views, where they were measured: label, name in ViewMetrics, decimals.
COLUMNS = (
    ("PSNR, dB", "psnr", 2),
    ("colours fitted, dB", "psnr_corrected", 2),
    ("pose fitted, dB", "psnr_aligned", 2),
    ("SSIM", "ssim", 4),
    ("LPIPS", "lpips", 4),
)


@dataclass(frozen=True)
class Evaluation:
    """What the report is about.

    Attributes:
        title: of the page, such as the run's folder.
        facts: what else the reader should know, shown as label and value: sizes, settings, times.
        budget: what came out of what was asked for, shown in the same way.
        views: scores of the evaluated views.
        indices: into `scene.views`, one per score.
        antialias, background: how the views are rendered, as for `evaluate_views`.
        note: said below the summary, such as which LPIPS was measured or why none was.
    """

    title: str
    facts: Mapping[str, str]
    budget: Mapping[str, str]
    views: Sequence[ViewMetrics]
    indices: Sequence[int]
    antialias: str
    background: Tensor | None
    note: str


def write_report(path: Path, evaluation: Evaluation, gaussians: Gaussians, scene: Scene, metrics: Path) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: of the HTML file.
        gaussians: in the scene's normalised world.
        metrics: the run's metrics.jsonl, for the curves; it need not exist.

    Raises:
        SplatError: no permission, or a full disk.
    """
    order = sorted(range(len(evaluation.views)), key=lambda position: evaluation.views[position].psnr)
    worst, best = order[:SHOWN], order[SHOWN:][::-1][:SHOWN]
    drawn = "".join(f"<figure>{svg}</figure>" for svg in curves(read_metrics(metrics)))
    parts = [_summary(evaluation), section("Budget", tiles(evaluation.budget) if evaluation.budget else "")]
    parts.append(section("How the run went", drawn and f'<div class="views">{drawn}</div>'))
    for title, positions in (("Worst views", worst), ("Best views", best)):
        rows = "".join(_pictures(evaluation, position, gaussians, scene) for position in positions)
        parts.append(section(f"{title}: photo, render, error", rows))
    parts.append(section("Every view", _table(evaluation.views)))
    write_page(path, evaluation.title, parts)


def _summary(evaluation: Evaluation) -> str:
    scores = {
        "PSNR, dB": number(mean(evaluation.views, "psnr"), 2),
        "PSNR with colours fitted, dB": number(mean(evaluation.views, "psnr_corrected"), 2),
        "PSNR with poses fitted, dB": number(mean(evaluation.views, "psnr_aligned"), 2),
        "SSIM": number(mean(evaluation.views, "ssim"), 4),
        "LPIPS": number(mean(evaluation.views, "lpips"), 4),
        "views": str(len(evaluation.views)),
    }
    measured = {label: value for label, value in scores.items() if value}
    return (
        f"<header><h1>{escape(evaluation.title)}</h1>\n{tiles({**measured, **evaluation.facts})}\n"
        f"<p>{escape(evaluation.note)}</p></header>"
    )


def _pictures(evaluation: Evaluation, position: int, gaussians: Gaussians, scene: Scene) -> str:
    scores, index = evaluation.views[position], evaluation.indices[position]
    target = photo(scene, index, gaussians.device)
    camera = scene.views[index].camera
    rendered = render_view(gaussians, camera, antialias=evaluation.antialias, background=evaluation.background)
    images = {
        "photo": target,
        "render": rendered,
        f"error (white: {ERROR_WHITE:g} of the range or more)": error_map(rendered, target),
    }
    caption = f"{scores.name} · {scores.psnr:.2f} dB · SSIM {scores.ssim:.4f}"
    return pictures(caption, scores.name, images)


def _table(views: Sequence[ViewMetrics]) -> str:
    scores = [column for column in COLUMNS if mean(views, column[1]) is not None]
    rows = []
    for view in views:
        cells = [number(getattr(view, name), digits) for _, name, digits in scores]
        rows.append([view.name, *cells, number(1000 * view.seconds, 1)])
    return table(["view", *(label for label, _, _ in scores), "render, ms"], rows)
