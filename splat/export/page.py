"""One HTML file that shows a scene: on phones, offline, from a file or any server.

It holds the scene as SOG and SuperSplat Viewer with the PlayCanvas engine (both MIT), which `setup.py` bundles from
viewer/web. The viewer turns a PLY's axes by 180 degrees about z and keeps the horizon level, so the scene is turned
until its up is where the viewer has it.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.export.opening import Array, Opening
from splat.files import atomic
from splat.flight import Flight
from splat.formats import write
from splat.gaussians import Gaussians
from splat.render import render

#: What the build makes of viewer/web.
TEMPLATE = Path(__file__).resolve().parents[1] / "_web" / "page.html"
#: Bytes of the scene in a piece, after which the page's loading bar moves; a multiple of 3 for base64.
PIECE = 3 << 17
#: Side of the poster, px, and the JPEG quality that keeps it small beside the scene.
POSTER, POSTER_QUALITY = 640, 60
#: Cosine below which the scene is turned: 0.03 degrees.
LEVEL = 1 - 1e-7


def write_page(
    gaussians: Gaussians,
    path: Path,
    *,
    title: str,
    cameras: Sequence[Cameras] = (),
    up: Array | None = None,
    flight: Flight | None = None,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    importance: Tensor | None = None,
    coarseness: float = 1.0,
) -> None:
    """Writes the page.

    Args:
        gaussians: the scene, on any device.
        title: what the page is called.
        cameras: views of the scene, in its world: the first is where the page opens, all say where up is and whether
            one walks around it or looks around in it. Without any it is seen from outside, its -y up.
        up: [3] unit vector, which way is up in its world; as the cameras have it if None.
        flight: what the camera flies from the start until somebody touches the page; it sways gently if None.
        background: [3] in [0, 1] what shows through.
        importance, coarseness: as for `splat.formats.write`.

    Raises:
        SplatError: the scene is empty, the viewer was not built in, or the file cannot be written.
    """
    template = _template()
    if not len(gaussians):
        raise SplatError(f"{path}: the scene holds no Gaussians, so there is nothing to show; choose another scene")
    scene = gaussians.detach()
    opening = Opening.of(scene, cameras, up)
    with torch.no_grad():
        ground = torch.tensor([*background], dtype=torch.float32, device=scene.device)
        poster = render(scene, opening.square(POSTER).to(scene.device), background=ground).rgb[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scene.sog"
        write(_levelled(scene, opening), file, importance=importance, coarseness=coarseness)
        size = file.stat().st_size
        # What viewer/web/phone reads.
        settings = {
            "bytes": size,
            "antialias": scene.antialias != "classic",
            "explore": opening.explore,
            "aspect": opening.aspect,
            "poster": opening.widest,
            "settings": _viewer_settings(opening, flight, background),
        }
        words = {
            "title": html.escape(title),
            "summary": f"{len(scene):,} Gaussians, {size / 1e6:.1f} MB",
            "version": version("splatworks"),
            "background": "#" + "".join(f"{round(255 * min(max(value, 0), 1)):02x}" for value in background),
            "poster": _jpeg(poster),
            # In a script element, only the end of one is no text.
            "page": json.dumps(settings).replace("<", "\\u003c"),
        }
        before, after = template.split("{{scene}}")
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
            out.write(_filled(before, words))
            out.writelines(_pieces(file))
            out.write(_filled(after, words))


def _template() -> str:
    try:
        return TEMPLATE.read_text(encoding="utf-8")
    except OSError as error:
        raise SplatError(
            "The page's viewer is not built in, since there was no Node.js: install Node.js 20 or newer (nodejs.org), "
            "then run `make web` in Splat's folder; a wheel of Splat has it built in"
        ) from error


def _levelled(gaussians: Gaussians, opening: Opening) -> Gaussians:
    if -opening.up[1] > LEVEL:
        return gaussians
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[:3, :3] = torch.from_numpy(opening.levelling)
    return gaussians.transform(similarity)


def _viewer_settings(opening: Opening, flight: Flight | None, background: Sequence[float]) -> dict[str, Any]:
    """The viewer's own settings, version 2."""
    effects = {
        "sharpness": {"enabled": False, "amount": 0},
        "bloom": {"enabled": False, "intensity": 0.1, "blurLevel": 2},
        "grading": {"enabled": False, "brightness": 1, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
        "vignette": {"enabled": False, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
        "fringing": {"enabled": False, "intensity": 0.5},
    }
    return {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": [float(value) for value in background]},
        "postEffectSettings": effects,
        "animTracks": [opening.track(flight)],
        "cameras": [{"initial": opening.pose()}],
        "annotations": [],
        "startMode": "animTrack",
    }


def _pieces(file: Path) -> Iterator[str]:
    """The scene as script elements, each followed by the call that takes it in."""
    with file.open("rb") as stream:
        while block := stream.read(PIECE):
            packed = base64.b64encode(block).decode("ascii")
            yield f'<script type="text/plain">{packed}</script><script>splat.piece()</script>\n'


def _filled(template: str, words: dict[str, str]) -> str:
    """The template with its {{words}}; in one pass, so that a title may hold braces."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], template)


def _jpeg(image: Tensor) -> str:
    """A data URL of an [H, W, 3] image in [0, 1]."""
    from PIL import Image

    pixels = (image.detach().clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=POSTER_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
