"""Writes the copy of a scene, in any kind of file that is exported, and reads it back."""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from splat import formats
from splat.export.kinds import INSIDE_PAGE, is_page
from splat.export.views import Views
from splat.gaussians import Gaussians

#: The viewer's code is packed alike, but another call takes it in.
_PIECE = re.compile(r'<script type="text/plain">([A-Za-z0-9+/=]*)</script><script>splat\.piece\(\)</script>')


def write_copy(
    gaussians: Gaussians,
    path: Path,
    views: Views,
    title: str,
    importance: Tensor | None,
    coarseness: float = 1.0,
) -> None:
    """Writes a scene file, or the page, whose first view is the scene's first.

    Args:
        path: its end says what is written.
        title: of a page.
        importance, coarseness: as for `splat.formats.write`.
    """
    if not is_page(path):
        formats.write(gaussians, path, importance=importance, coarseness=coarseness)
        return
    from splat.export.page import write_page

    write_page(
        gaussians,
        path,
        title=title,
        cameras=views.for_page,
        flight=views.flight,
        background=views.background.tolist(),
        importance=importance,
        coarseness=coarseness,
    )


def read_copy(path: Path, original: Gaussians, views: Views) -> Gaussians:
    """What a written file shows, in the world of the original.

    Raises:
        SplatError: it cannot be read.
    """
    if not is_page(path):
        return formats.read(path)
    from splat.export.opening import Opening

    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"scene{INSIDE_PAGE}"
        with file.open("wb") as stream:
            for piece in _PIECE.finditer(text):
                stream.write(base64.b64decode(piece[1]))
        inside = formats.read(file)
    # The page's viewer keeps the horizon level, so the scene in it was turned.
    back = torch.eye(4, dtype=torch.float64)
    back[:3, :3] = torch.from_numpy(Opening.of(original, views.for_page).levelling).T
    return inside.transform(back)
