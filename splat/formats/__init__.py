"""Scene files: read(path) and write(gaussians, path) pick the format by the suffix."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from types import ModuleType

from splat.errors import SplatError
from splat.gaussians import Gaussians

#: Suffix -> module with read(path) and write(gaussians, path). Imported on first use.
FORMATS = {".ply": "splat.formats.ply"}


def read(path: str | os.PathLike[str]) -> Gaussians:
    """Reads a scene file.

    Args:
        path: a file whose suffix is one of `FORMATS`.

    Returns:
        The scene on the CPU, float32. Gaussians that are not finite are dropped with a warning.

    Raises:
        SplatError: the file is absent, of an unknown format or damaged.
    """
    path = Path(path)
    format_module = _module(path)
    if path.is_dir():
        raise SplatError(f"{path} is a folder, not a scene file; give the file inside it, such as {path / 'scene.ply'}")
    if not path.exists():
        raise SplatError(f"{path} does not exist; check the path")
    try:
        return format_module.read(path)
    except OSError as error:
        raise SplatError(f"{path} cannot be read: {error.strerror or error}; check that you may open it") from error


def write(gaussians: Gaussians, path: str | os.PathLike[str]) -> None:
    """Writes a scene file. The path holds either what it held before or the whole new file, never a part.

    Args:
        gaussians: the scene, on any device.
        path: the suffix picks the format; missing folders are made.

    Raises:
        SplatError: unknown suffix, no permission or a full disk.
    """
    path = Path(path)
    _module(path).write(gaussians, path)


def _module(path: Path) -> ModuleType:
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        kind = f"the suffix {path.suffix!r}" if path.suffix else "a name without suffix"
        raise SplatError(f"{path}: {kind} is no scene format known here; supported: {', '.join(sorted(FORMATS))}")
    return import_module(name)
