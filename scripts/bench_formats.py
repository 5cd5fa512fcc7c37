"""Writing and reading every scene format, beside gsply and splat-transform: seconds, memory, bytes and what is lost.

    python scripts/bench_formats.py --scene RUN/scene.ply                       # tiled to a million Gaussians
    python scripts/bench_formats.py --scene RUN/scene.ply --count 0             # as it is
    python scripts/bench_formats.py --scene RUN/scene.ply --formats .spz .sog --json formats.json

Seconds are the least of interleaved runs. Of splat-transform the whole process is timed, less one that does the rest:
writing is from a PLY to the format less from that PLY to nothing, reading is from the format to nothing less from a
Gaussian to nothing, so that Node's start is no part of either. Its runs of over half a minute are made once, and one
that takes longer than --patience is given up. Memory is the peak of a process of its own that holds the scene and
writes it, less what it held before, as a multiple of the scene's tensors. PSNR compares pictures of the copy, read by
our reader, with those of the original: from views of the cameras.json beside the scene, or from an orbit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from splat.cameras import Cameras
from splat.evaluate.orbits import orbit_around
from splat.formats import FORMATS, read, spz, write
from splat.formats.cameras import read_cameras
from splat.gaussians import Gaussians
from splat.render import render

TRANSFORM = Path(__file__).resolve().parents[1] / "tests/oracles/node_modules/@playcanvas/splat-transform/bin/cli.mjs"
#: What splat-transform writes and reads.
TRANSFORM_WRITES = (".ply", ".compressed.ply", ".sog", ".spz", ".spz 4", ".glb")
TRANSFORM_READS = (".ply", ".compressed.ply", ".sog", ".spz", ".spz 4", ".splat", ".ksplat")
#: Runs of splat-transform that are made once, seconds.
SLOW = 30.0
#: Gaussians are meant for axes with y down; gsply writes SPZ as they are, which is with y up.
TURNED = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))


@dataclass
class Way:
    """One program's hand at one format.

    Attributes:
        write, read: of a path; None where it does not.
        path: where its file is.
        seconds: the least so far, by "write" and "read".
    """

    program: str
    path: Path
    write: Callable[[Path], Any] | None
    read: Callable[[Path], Any] | None
    #: Seconds of a run that are not the format's, by the same names.
    less: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failure: str = ""

    def run(self, what: str) -> None:
        """Once more, unless that would be slow."""
        action = getattr(self, what)
        if action is None or self.failure or (self.program == "splat-transform" and self.seconds.get(what, 0) > SLOW):
            return
        start = time.perf_counter()
        try:
            action(self.path)
        except subprocess.SubprocessError as error:
            self.failure = "given up" if isinstance(error, subprocess.TimeoutExpired) else "failed"
            return
        taken = time.perf_counter() - start
        self.seconds[what] = min(taken, self.seconds.get(what, math.inf))


def tiled(scene: Gaussians, count: int) -> Gaussians:
    """Copies of a scene beside one another, each turned about the vertical and unlike the others by what formats round
    to, so that none finds the same bytes again."""
    generator = torch.Generator().manual_seed(0)
    copies = math.ceil(count / len(scene))
    width, pitch = math.ceil(copies**0.5), 3 * float(scene.means.abs().quantile(0.99))
    parts = [scene]
    for index in range(1, copies):
        angle = 2 * math.pi * index / copies
        place = torch.eye(4)
        place[0, 0] = place[2, 2] = math.cos(angle)
        place[0, 2], place[2, 0] = math.sin(angle), -math.sin(angle)
        place[0, 3], place[2, 3] = pitch * (index % width), pitch * (index // width)
        copy = scene.transform(place)
        for tensor, size in ((copy.log_scales, 0.06), (copy.opacity_logits, 0.1), (copy.sh[:, 0], 0.05)):
            tensor += size * torch.randn(tensor.shape, generator=generator)
        parts.append(copy)
    return Gaussians.concat(parts).select(torch.arange(count))


def variants(names: list[str]) -> dict[str, tuple[Callable[..., Any], str]]:
    """By what the table calls it: how we write each format, and its files' suffix."""
    found: dict[str, tuple[Callable[..., Any], str]] = {}
    for suffix, held in FORMATS.items():
        # meta.json is SOG once more, in a folder.
        if (names and suffix not in names) or not held.writes or not suffix.startswith("."):
            continue
        found[suffix] = (write, suffix)
        if suffix == ".spz":
            found[".spz 4"] = (lambda scene, path: spz.write(scene, path, version=4), suffix)
    return found


def of_gsply(name: str, scene: Gaussians) -> tuple[Callable | None, Callable | None]:
    """How gsply writes and reads a format."""
    try:
        gsply = import_module("gsply")
    except ImportError:
        return None, None

    def data(scene: Gaussians) -> Any:
        quats = torch.nn.functional.normalize(scene.quats, dim=-1)
        arrays = {"means": scene.means, "scales": scene.log_scales, "quats": quats, "opacities": scene.opacity_logits}
        arrays |= {"sh0": scene.sh[:, 0].contiguous(), "shN": scene.sh[:, 1:].contiguous()}
        return gsply.GSData.from_arrays(**{key: tensor.numpy() for key, tensor in arrays.items()}, format="ply")

    if name in (".ply", ".compressed.ply"):
        theirs = data(scene)
        return (lambda path: gsply.plywrite(path, theirs, compressed=name != ".ply")), gsply.plyread
    if name in (".spz", ".spz 4"):
        theirs = data(scene.transform(TURNED))
        return (lambda path: gsply.write_spz(path, theirs, version=4 if name == ".spz 4" else 3)), gsply.read_spz
    if name == ".sog":
        return None, import_module("gsply.sog_reader").sogread
    return None, None


def transform(*arguments: object, patience: float) -> None:
    command = ["node", str(TRANSFORM), "-w", "-g", "cpu", *map(str, arguments)]
    subprocess.run(command, capture_output=True, check=True, timeout=patience)


def of_transform(name: str, ply: Path, patience: float) -> tuple[Callable | None, Callable | None]:
    """How splat-transform writes and reads a format."""
    if not TRANSFORM.is_file():
        return None, None
    version = ["--spz-version", 4 if name == ".spz 4" else 3] if name.startswith(".spz") else []
    writes = (lambda path: transform(*version, ply, path, patience=patience)) if name in TRANSFORM_WRITES else None
    reads = (lambda path: transform(path, "null", patience=patience)) if name in TRANSFORM_READS else None
    return writes, reads


def peak_of_writing(name: str, scene: Path) -> float:
    """Bytes at most, beyond what was held before, of a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, __file__, "--write-once", name, "--scene", str(scene)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def write_once(name: str, scene: Path) -> None:
    """What `peak_of_writing` starts."""
    gaussians: Gaussians = torch.load(scene, weights_only=False)
    writer, suffix = variants([])[name]

    def status(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))

    with tempfile.TemporaryDirectory() as folder:
        # The first of a kind loads libraries.
        writer(gaussians.select(torch.arange(min(len(gaussians), 1000))), Path(folder) / f"few{suffix}")
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        writer(gaussians, Path(folder) / f"scene{suffix}")
        print(status("VmHWM") - before)


class Pictures:
    """Of the original, and how close those of a copy come."""

    def __init__(self, scene: Gaussians, source: Path, views: int) -> None:
        beside = source.parent / "cameras.json"
        cameras = [view.camera for view in read_cameras(beside)] if beside.exists() else orbit_around(scene, views)
        self.cameras: list[Cameras] = cameras[:: max(1, len(cameras) // views)][:views]
        self.wanted = [self._of(scene, camera) for camera in self.cameras]

    def _of(self, scene: Gaussians, camera: Cameras) -> torch.Tensor:
        return render(scene, camera).rgb.clamp(0, 1)

    def psnr(self, copy: Gaussians) -> float:
        """Mean over the views, dB."""
        errors = [
            float((self._of(copy, camera) - wanted).square().mean())
            for camera, wanted in zip(self.cameras, self.wanted, strict=True)
        ]
        return sum(-10 * math.log10(max(error, 1e-10)) for error in errors) / len(errors)


def measure(name: str, scene: Gaussians, pictures: Pictures, arguments: argparse.Namespace, folder: Path) -> list[dict]:
    """The rows of one format."""
    writer, suffix = variants([])[name]
    inner = folder / name.replace(" ", "-").strip(".")
    inner.mkdir()
    ways = [Way("splat", inner / f"splat{suffix}", lambda path: writer(scene, path), read)]
    ways.append(Way("gsply", inner / f"gsply{suffix}", *of_gsply(name, scene)))
    ways.append(
        Way("splat-transform", inner / f"theirs{suffix}", *of_transform(name, folder / "scene.ply", arguments.patience))
    )
    for way in ways:
        if way.program == "splat-transform":
            way.less = arguments.less
        if way.write is None and way.read is not None:
            # It reads ours.
            way.path = ways[0].path
    for _ in range(arguments.rounds):
        for way in ways:
            way.run("write")
        for way in ways:
            if way.path.exists():
                way.run("read")
    rows = []
    for way in ways:
        if not way.seconds and not way.failure:
            continue
        row: dict[str, Any] = {"format": name, "program": way.program, "failure": way.failure}
        row |= {key: max(seconds - way.less.get(key, 0), 0) for key, seconds in way.seconds.items()}
        if way.write is not None and way.path.exists():
            row |= {"bytes": way.path.stat().st_size, "psnr": pictures.psnr(read(way.path))}
        if way.program == "splat":
            row["peak"] = peak_of_writing(name, folder / "scene.pt")
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def table(rows: list[dict], count: int, tensors: int) -> str:
    """Markdown."""
    lines = ["| format | program | write | read | memory | bytes | a Gaussian | PSNR |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"`{row['format']}`", row["program"]]
        cells += [f"{row[key]:.2f} s" if key in row else row["failure"] for key in ("write", "read")]
        cells.append(f"{row['peak'] / tensors:.2f} x" if "peak" in row else "")
        cells += [f"{row['bytes']:,}", f"{row['bytes'] / count:.2f}"] if "bytes" in row else ["", ""]
        cells.append("" if "psnr" not in row else f"{row['psnr']:.2f} dB" if row["psnr"] < 99.9 else "same")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scene", type=Path, required=True, help="a scene file; a run's cameras.json beside it is used"
    )
    parser.add_argument("--count", type=int, default=1_000_000, help="Gaussians that it is tiled to; 0: as it is")
    parser.add_argument("--formats", nargs="*", default=[], help="suffixes, such as .spz; all that are written if none")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the fastest counts")
    parser.add_argument("--views", type=int, default=4, help="pictures that are compared")
    parser.add_argument("--patience", type=float, default=600, help="seconds that a run of splat-transform may take")
    parser.add_argument("--json", type=Path, help="where the rows go, too")
    parser.add_argument("--write-once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write_once:
        write_once(arguments.write_once, arguments.scene)
        return
    arguments.formats = [name if name.startswith(".") else f".{name}" for name in arguments.formats]
    scene = read(arguments.scene)
    if arguments.count:
        scene = tiled(scene, arguments.count)
    pictures = Pictures(scene, arguments.scene, arguments.views)
    tensors = sum(tensor.nbytes for tensor in scene.parameters().values())
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(scene, folder / "scene.pt")
        write(scene, folder / "scene.ply")
        write(scene.select(torch.arange(1)), folder / "one.ply")
        arguments.less = {}
        if TRANSFORM.is_file():
            for what, source in (("write", "scene.ply"), ("read", "one.ply")):
                way = Way("splat-transform", folder / source, None, lambda path: transform(path, "null", patience=600))
                for _ in range(arguments.rounds):
                    way.run("read")
                arguments.less[what] = way.seconds["read"]
        for variant in variants(arguments.formats):
            rows += measure(variant, scene, pictures, arguments, folder)
    print(table(rows, len(scene), tensors))
    if arguments.json:
        arguments.json.write_text(json.dumps({"count": len(scene), "tensors": tensors, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
