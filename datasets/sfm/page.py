"""The capture report: one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.sfm.diagnosis import Measured
from splat.datasets.sfm.photos import decode

MAP_SIZE, MAP_POINTS = 480, 4000
THUMBNAIL_WIDTH = 200

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums } tr.out { color: #b3261e }
.bar { display: inline-block; height: .6rem; background: #4a90d9 } tr.out .bar { background: #d96a62 }
figure { display: inline-block; margin: 0 1rem 1rem 0; width: 200px; vertical-align: top; font-size: .85rem }
svg { background: #f5f7fa } img { width: 100% }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dde3ea } svg { background: #1d232a } }
"""


@dataclass(frozen=True)
class Page:
    """What the report shows.

    Attributes:
        figures: what was measured, in words.
        advice: what to do, a sentence each.
        reasons: for each photo that was not placed, why.
        everyone: the usable photos, which lie in `images`.
        centres: [P, 3] where the placed photos were taken from.
        points: [Q, 3] the points found.
    """

    title: str
    figures: Mapping[str, str]
    advice: Sequence[str]
    reasons: Mapping[str, str]
    everyone: Sequence[Measured]
    images: Path
    centres: NDArray[np.float64]
    points: NDArray[np.float64]

    def html(self) -> str:
        rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(text)}</td></tr>" for key, text in self.figures.items())
        advice = self.advice or ["Nothing: this is a good capture."]
        todo = "".join(f"<li>{escape(line)}</li>" for line in advice)
        missing = "".join(_figure(self.images / name, name, why) for name, why in self.reasons.items())
        missing = f"<h2>Not placed</h2>{missing}" if missing else ""
        return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{escape(self.title)}</title><style>{STYLE}</style>
<h1>{escape(self.title)}</h1><table>{rows}</table>
<h2>What to do</h2><ul>{todo}</ul>{missing}
<h2>From above</h2><p>Points found (grey) and where the photos were taken from (blue).</p>
{_map(self.centres, self.points)}
<h2>Photos</h2>{_table(self.everyone)}</html>
"""


def _figure(path: Path, name: str, why: str) -> str:
    import cv2

    pixels = decode(path, cv2.IMREAD_REDUCED_COLOR_2)
    height = max(1, round(pixels.shape[0] * THUMBNAIL_WIDTH / pixels.shape[1]))
    small = cv2.resize(pixels, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
    data = base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(name)}">'
        f"<figcaption><b>{escape(name)}</b><br>{escape(why)}</figcaption></figure>"
    )


def _map(centres: NDArray[np.float64], points: NDArray[np.float64]) -> str:
    """Cameras and points, seen along the direction in which the cameras spread least."""
    middle = centres.mean(0)
    axes = np.linalg.svd(centres - middle)[2][:2]
    points = points[:: max(1, len(points) // MAP_POINTS)]
    cameras, dots = (centres - middle) @ axes.T, (points - middle) @ axes.T
    # Far background points would shrink everything else to a spot.
    reach = 1.1 * max(np.abs(cameras).max(), np.percentile(np.abs(dots), 90), 1e-9)
    dots = dots[(np.abs(dots) < reach).all(1)]
    drawn = [_circle(x, y, 1, "#9aa5b1") for x, y in dots / reach]
    drawn += [_circle(x, y, 4, "#4a90d9") for x, y in cameras / reach]
    return f'<svg width="{MAP_SIZE}" height="{MAP_SIZE}" viewBox="-1 -1 2 2">{"".join(drawn)}</svg>'


def _circle(x: float, y: float, pixels: float, colour: str) -> str:
    return f'<circle cx="{x:.3f}" cy="{y:.3f}" r="{2 * pixels / MAP_SIZE:.4f}" fill="{colour}"/>'


def _table(everyone: Sequence[Measured]) -> str:
    sharpest = max(photo.photo.sharpness for photo in everyone) or 1.0
    rows = []
    for photo in everyone:
        width = 8 * photo.photo.sharpness / sharpest
        rows.append(
            f"<tr{'' if photo.placed else ' class=out'}><td>{escape(photo.photo.name)}</td>"
            f"<td>{'yes' if photo.placed else 'no'}</td><td class=n>{photo.features}</td>"
            f"<td class=n>{photo.neighbours}</td>"
            f'<td><span class=bar style="width:{width:.2f}rem"></span> {photo.photo.sharpness:.0f}</td>'
            f"<td class=n>{photo.photo.brightness:+.1f}</td><td class=n>{photo.photo.clipped:.0%}</td></tr>"
        )
    head = "<th>photo<th>placed<th>features<th>overlaps with<th>sharpness<th>brightness, stops<th>burnt out"
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"
