"""`splat info`: what is in a scene file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splat.cli.options import parse
from splat.cli.output import reporting, size
from splat.cli.runs import scene_file
from splat.formats import FORMATS, suffix_of

if TYPE_CHECKING:
    from torch import Tensor

    from splat.gaussians import Gaussians

EXAMPLES = """\
  splat info run/scene.ply
  splat info scene.ply --json"""

BINS = 12
BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass
class Info:
    """Says what is in a scene file: format, counts, SH degree, filter, box, bytes, and how opacities and scales are
    spread."""

    file: Annotated[Path, tyro.conf.Positional]
    """Scene file, or a run's folder."""
    json: bool = False
    """Print one JSON object instead."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Info, "info", arguments, EXAMPLES)
    with reporting(options.json) as report:
        from splat.formats import read

        path = scene_file(options.file)
        values = describe(path, read(path))
        report(values, as_text(values))


def describe(path: Path, gaussians: Gaussians) -> dict[str, Any]:
    """The facts, as `--json` prints them. Box and scales are in the file's own world units."""
    count, total = len(gaussians), path.stat().st_size
    return {
        "file": str(path),
        "format": FORMATS[suffix_of(path)].name,
        "bytes": total,
        "bytes_per_gaussian": total / count if count else None,
        "gaussians": count,
        "sh_degree": gaussians.sh_degree,
        "antialias": gaussians.antialias,
        "box": {
            "min": gaussians.means.amin(0).tolist() if count else None,
            "max": gaussians.means.amax(0).tolist() if count else None,
        },
        "opacity": spread(gaussians.opacities, 0.0, 1.0),
        # Scales run over orders of magnitude, so it is their logarithms that are counted.
        "log10_scale": spread(gaussians.scales.log10().flatten()),
    }


def spread(values: Tensor, low: float | None = None, high: float | None = None) -> dict[str, Any] | None:
    """Least, median, greatest and a histogram of BINS bins between `low` and `high` (the extremes if None)."""
    if not values.numel():
        return None
    values = values.double()
    least, greatest = float(values.min()), float(values.max())
    low, high = least if low is None else low, greatest if high is None else high
    counts = values.histc(BINS, low, high) if high > low else values.new_tensor([values.numel()])
    return {
        "min": least,
        "median": float(values.median()),
        "max": greatest,
        "from": low,
        "to": high,
        "counts": [int(count) for count in counts],
    }


def as_text(values: dict[str, Any]) -> str:
    """The same for people, histograms drawn in block characters."""
    each = f"  ({values['bytes_per_gaussian']:.1f} bytes each)" if values["gaussians"] else ""
    lines = [
        f"{values['file']}",
        f"  format     {values['format']}",
        f"  Gaussians  {values['gaussians']:,}{each}",
        f"  bytes      {values['bytes']:,}  ({size(values['bytes'])})",
        f"  SH degree  {values['sh_degree']}",
        f"  filter     {values['antialias']}",
    ]
    if values["gaussians"]:
        corners = [" ".join(f"{x:.4g}" for x in values["box"][corner]) for corner in ("min", "max")]
        lines.append(f"  box        {corners[0]}  to  {corners[1]}")
        lines.append(f"  opacity    {_drawn(values['opacity'], lambda x: f'{x:.3g}')}")
        lines.append(f"  scale      {_drawn(values['log10_scale'], lambda x: f'{10**x:.3g}')}  (log axis)")
    return "\n".join(lines)


def _drawn(facts: dict[str, Any], number: Any) -> str:
    most = max(facts["counts"])
    bars = "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // most)] for count in facts["counts"])
    return f"{number(facts['from'])} {bars} {number(facts['to'])}   median {number(facts['median'])}"
