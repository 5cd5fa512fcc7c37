"""How a run went, drawn from its metrics.jsonl."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

#: matplotlib is told this colour for all text and axes; the page's own text colour takes its place.
_INK = "#010203"
_LINE, _DOTS = "#3b82c4", "#d9822b"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, oldest first; empty when there is none. A line cut short by a crash is left out."""
    entries = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                entries.append(entry)
    return entries


def curves(entries: list[dict[str, Any]]) -> list[str]:
    """Loss, PSNR and number of Gaussians over the steps, an inline SVG element each; none without entries.

    Args:
        entries: what `read_metrics` gave: "step" lines, drawn as lines, and "eval" lines, drawn as dots.
    """
    steps = [entry for entry in entries if entry.get("kind") == "step"]
    evaluations = [entry for entry in entries if entry.get("kind") == "eval"]
    if not steps:
        return []
    titles = {"loss": "training loss", "psnr": "PSNR, dB (dots: held-out photos)", "gaussians": "Gaussians"}
    return [_curve(key, title, steps, evaluations if key == "psnr" else []) for key, title in titles.items()]


def _curve(key: str, title: str, line: list[dict[str, Any]], dots: list[dict[str, Any]]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": key, "font.family": "sans-serif", "font.size": 12}
    style |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(5, 3.2), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.plot([entry["step"] for entry in line], [entry[key] for entry in line], color=_LINE, linewidth=1.3)
        axes.plot([entry["step"] for entry in dots], [entry[key] for entry in dots], "o", color=_DOTS)
        if key == "loss":
            axes.set_yscale("log")
        axes.set_title(title, fontsize=12)
        axes.set_xlabel("step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    # Without a size of its own the picture fills its column.
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg[svg.index("<svg") :], count=1)
    return svg.replace(_INK, "currentColor")
