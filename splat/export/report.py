"""The page that shows an export beside its original, view by view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from splat.evaluate.layout import number, pictures, section, table, tiles, write_page
from splat.evaluate.metrics import render_view
from splat.evaluate.pictures import error_map
from splat.export.verify import ViewLoss, mean
from splat.export.views import Views
from splat.gaussians import Gaussians

#: Difference that is shown white: a twentieth of the range is what an eye that looks for it sees.
WHITE = 0.05
#: Views that are shown, the worst first; the table has all.
SHOWN = 8


def write_report(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    original: Gaussians,
    copy: Gaussians,
    views: Views,
    losses: Sequence[ViewLoss],
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: of the HTML file.
        title: the exported file's name.
        facts: what else the reader should know, as label and value.
        notes: sentences below them.
        original, copy: the scene, and what was read back of its copy, on one device.
        losses: of `views.judged`, in their order.

    Raises:
        SplatError: no permission, or a full disk.
    """
    scores = {
        "PSNR of the copy against the original, dB": number(mean(losses, "psnr"), 2),
        "PSNR of the copy against the photos, dB": number(mean(losses, "copy"), 2),
        "PSNR of the original against the photos, dB": number(mean(losses, "original"), 2),
    }
    shown = {label: value for label, value in scores.items() if value}
    words = "".join(f"<p>{escape(note)}</p>" for note in notes)
    parts = [f"<header><h1>{escape(title)}</h1>\n{tiles({**shown, **facts})}\n{words}</header>"]
    worst = sorted(range(len(losses)), key=lambda index: losses[index].psnr)[:SHOWN]
    rows = "".join(_pictures(original, copy, views, losses[index], index) for index in worst)
    parts.append(section("Original, copy, difference" + (", worst views first" if len(losses) > SHOWN else ""), rows))
    header = ["view", "copy against original, dB", "original against photo, dB", "copy against photo, dB"]
    cells = [[loss.name, *(number(value, 2) for value in (loss.psnr, loss.original, loss.copy))] for loss in losses]
    parts.append(section("Every view", table(header, cells)))
    write_page(path, title, parts)


def _pictures(original: Gaussians, copy: Gaussians, views: Views, loss: ViewLoss, index: int) -> str:
    camera = views.judged[index].camera
    first, second = (
        render_view(scene, camera, antialias=scene.antialias, background=views.background) for scene in (original, copy)
    )
    images = {
        "original": first,
        "copy": second,
        f"difference × {1 / WHITE:.0f} (white: {WHITE:g} of the range or more)": error_map(second, first, WHITE),
    }
    return pictures(f"{loss.name} · {loss.psnr:.2f} dB", loss.name, images)
