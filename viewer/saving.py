"""A scene from the viewer to a file: under which name, and in whose coordinates."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from splat.budget import FILE_COSTS
from splat.cameras import Cameras
from splat.errors import SplatError
from splat.export import kinds
from splat.export.page import write_page
from splat.formats import suffix_of, write
from splat.gaussians import Gaussians
from splat.viewer.camera import Array
from splat.viewer.source import SceneSource

#: Bytes of a file that is sent through the page, at most: all of it is held in memory until the browser has it.
MOST_SENT = 1_000_000_000
#: Beside it a temporary file gets a longer name, and file systems end at 255 bytes.
MOST_LETTERS = 60
#: What every tool reads.
PLAIN = ".ply"
_NAME = re.compile(r"[^\W_][\w .()+-]*")


def written() -> list[str]:
    """The suffixes of the kinds of file that hold a whole scene, the plainest first."""
    suffixes = [suffix for suffix in kinds.written() if suffix.startswith(".")]
    return sorted(suffixes, key=lambda suffix: (suffix != PLAIN, suffix))


def kept_format(path: Path) -> str:
    """The suffix for what is saved of a scene file: its own, where that format is written."""
    suffix = suffix_of(path)
    return suffix if suffix in written() else PLAIN


def bare_name(path: Path) -> str:
    """A scene file's name without its suffix; that of the folder where a folder's files are one scene."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] or path.resolve().parent.name


def new_file(beside: Path, name: str, suffix: str) -> Path:
    """A file that does not exist yet, in the folder of another one.

    Args:
        name: with or without the suffix.
        suffix: of the format, with its dot.

    Raises:
        SplatError: the name is none, or taken.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or len(name) > MOST_LETTERS:
        raise SplatError("Type a plain file name, such as garden-edited: letters, digits, spaces and . _ - + ( )")
    path = beside.with_name(name if name.lower().endswith(suffix) else name + suffix)
    if path.exists():
        raise SplatError(f"There is a file {path.name} already; type another name")
    return path


def save(
    source: SceneSource,
    path: Path,
    similarity: Tensor | None = None,
    *,
    cameras: Sequence[Cameras] = (),
    up: Array | None = None,
) -> int:
    """Writes what is left of a scene; the format is that of the path's suffix.

    Args:
        similarity: [4, 4] to move it by; None leaves it where it is.
        cameras: of a page, for `splat.export.page.write_page`: the first is where it opens.
        up: [3] of a page, which way is up in the scene before it is moved.

    Returns:
        How many Gaussians it has.

    Raises:
        SplatError: nothing is left, or the file cannot be written.
    """
    gaussians = source.with_gaussians(_copy)
    if not len(gaussians):
        raise SplatError("Nothing is left of the scene to save; undo the last deletion first")
    if similarity is not None:
        gaussians = gaussians.transform(similarity)
        cameras = [batch.transform(similarity) for batch in cameras]
        up = None if up is None else _turned(similarity, up)
    if kinds.is_page(path):
        write_page(gaussians, path, title=source.title, cameras=cameras, up=up, background=source.background)
    else:
        write(gaussians, path)
    return len(gaussians)


def estimate(count: int, sh_degree: int, suffix: str) -> float | None:
    """Bytes of a file of so many Gaussians; None where nobody knows."""
    cost = FILE_COSTS.get(suffix.removeprefix("."))
    return None if cost is None else count * cost.per_gaussian[sh_degree] + cost.rest


def _turned(similarity: Tensor, direction: Array) -> Array:
    turned = similarity[:3, :3].numpy() @ direction
    return turned / np.linalg.norm(turned)


def _copy(gaussians: Gaussians) -> Gaussians:
    """On the CPU; training goes on while it is written."""
    parts = gaussians.parameters().items()
    return dataclasses.replace(gaussians, **{name: part.detach().to("cpu", copy=True) for name, part in parts})
