"""Scene files: read(path) and write(gaussians, path) pick the format by the name's end.

Importing this loads nothing heavy, so that `--help` can say what the formats hold.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from splat.errors import SplatError

if TYPE_CHECKING:
    from torch import Tensor

    from splat.gaussians import Gaussians


@dataclass(frozen=True)
class Format:
    """One kind of scene file and what it can hold.

    All hold Gaussians whose Mip filter is baked into scales and opacities, as `splat train` saves them, peak opacities
    up to 1, and colours as the photos have them (sRGB); what differs is here.

    Attributes:
        name: what people call it.
        module: has read(path) and, where `writes`, write(gaussians, path), imported on first use.
        sh_degree: the highest; writers cut off what is beyond.
        antialias: the filters of `splat.render.ANTIALIAS` that a file can name; of others it says "antialiased" where
            it can and the opacities are compensated, else nothing, which is "classic".
        limits: what else it cannot hold, for people.
        writes: whether Splat writes it, too.
        weighed: whether its writer takes `importance`.
        coarsens: whether its writer takes `coarseness`.
    """

    name: str
    module: str
    sh_degree: int
    antialias: tuple[str, ...] = ("classic",)
    limits: str = ""
    writes: bool = True
    weighed: bool = False
    coarsens: bool = False


_SOG = Format(
    "SOG, in one file or by the meta.json of its folder",
    "splat.formats.sog",
    3,
    ("classic", "antialiased"),
    "positions in steps of 3 % of a typical size, scales of 6 %, opacities of 1/127; 65,536 sets of SH",
    weighed=True,
    coarsens=True,
)

_CHECKPOINT = Format("checkpoint of gsplat or of the original release", "splat.formats.checkpoint", 4, writes=False)

#: By the end of the file's name; the longest that fits counts.
FORMATS = {
    ".compressed.ply": Format(
        "compressed PLY of SuperSplat",
        "splat.formats.compressed_ply",
        3,
        limits="positions to 1/1,023 of a chunk's size, opacities to 1/255, SH to 1/64 within +-4",
    ),
    ".ply": Format("PLY of the original release", "splat.formats.ply", 4, ("classic", "antialiased", "mip")),
    ".pt": _CHECKPOINT,
    ".pth": _CHECKPOINT,
    ".glb": Format("glTF with KHR_gaussian_splatting", "splat.formats.gltf", 3),
    ".gltf": Format("glTF with its bytes in files beside it", "splat.formats.gltf", 3, writes=False),
    ".ksplat": Format("KSPLAT of GaussianSplats3D", "splat.formats.ksplat", 2, writes=False),
    ".sog": _SOG,
    "meta.json": _SOG,
    ".splat": Format(
        "SPLAT of antimatter15's viewer",
        "splat.formats.dotsplat",
        0,
        limits="colours within 0 to 1, colours and opacities to 1/255, quaternions to 1/128",
    ),
    ".spz": Format(
        "SPZ of Niantic, written in version 3",
        "splat.formats.spz",
        3,
        ("classic", "antialiased"),
        "scales from e^-10 to e^5.9 in steps of 6 %, SH within +-1; what hardly shows is rounded more",
        weighed=True,
        coarsens=True,
    ),
}


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The key of `FORMATS` that a path's name ends with.

    Raises:
        SplatError: none does.
    """
    path = Path(path)
    name = path.name.lower()
    fitting = [suffix for suffix in FORMATS if name.endswith(suffix)]
    if not fitting:
        kind = f"the suffix {path.suffix!r}" if path.suffix else "a name without suffix"
        raise SplatError(f"{path}: {kind} is no scene format known here; supported: {', '.join(sorted(FORMATS))}")
    return max(fitting, key=len)


def read(path: str | os.PathLike[str]) -> Gaussians:
    """Reads a scene file.

    Args:
        path: a file whose name ends with one of `FORMATS`.

    Returns:
        The scene on the CPU, float32, in the axes of captures (x right, y down, z forward). Gaussians that are not
        finite are dropped with a warning.

    Raises:
        SplatError: the file is absent, of an unknown format or damaged.
    """
    path = Path(path)
    try:
        if path.is_dir():
            inside = path / "scene.ply"
            raise SplatError(f"{path} is a folder, not a scene file; give the file inside it, such as {inside}")
        format_module = _module(suffix_of(path))
        if not path.exists():
            raise SplatError(f"{path} does not exist; check the path")
        return format_module.read(path)
    except OSError as error:
        raise SplatError(f"{path} cannot be read: {error.strerror or error}; check that you may open it") from error


def write(
    gaussians: Gaussians,
    path: str | os.PathLike[str],
    *,
    importance: Tensor | None = None,
    coarseness: float = 1.0,
) -> None:
    """Writes a scene file. The path holds either what it held before or the whole new file, never a part.

    Args:
        gaussians: the scene, on any device.
        path: the name's end picks the format; missing folders are made.
        importance: [N] how much each Gaussian counts where many share a value, in any unit; by its looks if None.
        coarseness: rounding steps in multiples of those that the format usually has, >= 1; formats that do not coarsen
            take no notice.

    Raises:
        SplatError: unknown suffix, a format that is only read, no permission or a full disk.
        ValueError: `importance` is not one number for each Gaussian, or `coarseness` is below 1.
    """
    if not coarseness >= 1:
        raise ValueError(f"coarseness must be at least 1, not {coarseness}")
    path = Path(path)
    suffix = suffix_of(path)
    if not FORMATS[suffix].writes:
        written = ", ".join(sorted(key for key, value in FORMATS.items() if value.writes))
        raise SplatError(f"{path}: {suffix} files are read here, not written; choose one of {written}")
    if importance is not None:
        from splat import checks

        checks.shape("importance", importance, ["N"], {"N": len(gaussians)})
    wishes: dict[str, Any] = {"importance": importance} if FORMATS[suffix].weighed else {}
    if FORMATS[suffix].coarsens:
        wishes["coarseness"] = coarseness
    _module(suffix).write(gaussians, path, **wishes)


def _module(suffix: str) -> ModuleType:
    return import_module(FORMATS[suffix].module)
