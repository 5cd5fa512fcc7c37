"""report.html: one self-contained page that says how good a run is, and shows where it is best and worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from torch import Tensor

from splat.datasets.scene import Scene
from splat.evaluate.curves import curves, read_metrics
from splat.evaluate.metrics import ViewMetrics, mean, photo, render_view
from splat.evaluate.pictures import ERROR_WHITE, error_map, jpeg
from splat.files import atomic
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

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667; --line: #d8dce2; --card: #f4f6f8; --page: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #343a42; --card: #1c2126; --page: #121519 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--page) }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem }
p, figcaption { color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .7rem; margin: 1.2rem 0 }
.tiles div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem }
.tiles b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.tiles span { color: var(--soft); font-size: .85rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th { color: var(--soft); font-weight: 500 }
.views { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .5rem;
  margin: .3rem 0 1.4rem }
figure { margin: 0 } img { width: 100%; display: block; border-radius: .3rem }
figcaption { font-size: .85rem }
svg { width: 100%; height: auto }
"""


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
    parts = [_summary(evaluation), _section("Budget", _tiles(evaluation.budget) if evaluation.budget else "")]
    parts.append(_section("How the run went", drawn and f'<div class="views">{drawn}</div>'))
    for title, positions in (("Worst views", worst), ("Best views", best)):
        rows = "".join(_pictures(evaluation, position, gaussians, scene) for position in positions)
        parts.append(_section(f"{title}: photo, render, error", rows))
    parts.append(_section("Every view", _table(evaluation.views)))
    page = _PAGE.format(title=escape(evaluation.title), style=STYLE, body="\n".join(parts))
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Splat report</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _summary(evaluation: Evaluation) -> str:
    scores = {
        "PSNR, dB": _number(mean(evaluation.views, "psnr"), 2),
        "PSNR with colours fitted, dB": _number(mean(evaluation.views, "psnr_corrected"), 2),
        "PSNR with poses fitted, dB": _number(mean(evaluation.views, "psnr_aligned"), 2),
        "SSIM": _number(mean(evaluation.views, "ssim"), 4),
        "LPIPS": _number(mean(evaluation.views, "lpips"), 4),
        "views": str(len(evaluation.views)),
    }
    measured = {label: value for label, value in scores.items() if value}
    return (
        f"<header><h1>{escape(evaluation.title)}</h1>\n{_tiles({**measured, **evaluation.facts})}\n"
        f"<p>{escape(evaluation.note)}</p></header>"
    )


def _tiles(values: Mapping[str, str]) -> str:
    tiles = (f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in values.items())
    return f'<div class="tiles">{"".join(tiles)}</div>'


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
    figures = "".join(
        f'<figure><img src="{jpeg(image)}" alt="{escape(f"{label} of {scores.name}", quote=True)}">'
        f"<figcaption>{escape(label)}</figcaption></figure>"
        for label, image in images.items()
    )
    caption = f"{escape(scores.name)} · {scores.psnr:.2f} dB · SSIM {scores.ssim:.4f}"
    return f'<div>{caption}</div>\n<div class="views">{figures}</div>\n'


def _table(views: Sequence[ViewMetrics]) -> str:
    scores = [column for column in COLUMNS if mean(views, column[1]) is not None]
    rows = []
    for view in views:
        cells = [_number(getattr(view, name), digits) for _, name, digits in scores]
        rows.append([escape(view.name), *cells, _number(1000 * view.seconds, 1)])
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    header = "".join(f"<th>{cell}</th>" for cell in ["view", *(label for label, _, _ in scores), "render, ms"])
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>\n{body}</tbody></table></div>'


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
