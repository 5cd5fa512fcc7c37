"""`splat export`: a run or a scene file to a smaller file for other viewers, compared with the original before it is
there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from splat.cli.options import Device, parse
from splat.cli.output import during, reporting, size, track, warn
from splat.cli.runs import CAMERAS, CONFIG, check_output, read_scene, scene_file
from splat.export.kinds import table
from splat.export.progress import Progress

if TYPE_CHECKING:
    from splat.export.run import Exported
    from splat.export.views import Views
    from splat.flight import Flight
    from splat.gaussians import Gaussians

T = TypeVar("T")

EXAMPLES = """\
  splat export run scene.spz                        (small, for most viewers)
  splat export run scene.html                       (one page that opens on phones)
  splat export run scene.html --path flight.json    (which flies as saved in the viewer's Path tab)
  splat export run scene.sog --target-size 8MB --finetune
  splat export scene.ply scene.splat --threshold 25"""

#: Steps of --finetune without a number.
FINETUNE = 300


@dataclass
class Export:
    """Writes a copy of a run's scene, or of a scene file, for other viewers and for phones. The copy is read back and
    rendered from the photos that were held out (or from an orbit), beside the original: if it is too far from it,
    nothing is written."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Run's folder or scene file."""
    output: Annotated[Path, tyro.conf.Positional]
    """File to write; its name's end says what kind. One that exists is replaced, once the new one is whole."""
    target_size: str | None = None
    """Bytes at most, such as 8MB: of SH degrees and numbers of Gaussians, that which looks best is chosen."""
    sh_degree: int | None = None
    """Highest degree of the colours that depend on the direction; 0 leaves one colour each."""
    max_gaussians: int | None = None
    """Gaussians at most; those that make up least of the pictures are left out."""
    finetune: int = 0
    """Steps by which what is left is moved until the file shows what the original does; --finetune alone takes 300,
    a minute or a few on a CPU."""
    path: Path | None = None
    """Camera path that a page (.html) flies until somebody touches it: the JSON that the viewer's Path tab saved."""
    threshold: float | None = None
    """Least PSNR of the copy against the original, dB, below which nothing is written. If not given: 30, or any where
    fewer Gaussians or bytes or a lower degree were asked for."""
    no_verify: bool = False
    """Do not read the file back and compare."""
    report: bool = False
    """Write OUTPUT.report.html as well: original, copy and their difference side by side, view by view."""
    capture: Path | None = None
    """Where the run's capture is now, if it has been moved since the training."""
    device: Device = "auto"
    """Where to render: auto takes an NVIDIA GPU where Splat's kernels run on one, else the CPU."""
    json: bool = False
    """Print one JSON object: output, bytes, ratio (bytes of the PLY over these), gaussians, sh_degree, psnr (dB, copy
    against original, mean and psnr_worst), photos (dB, original and copy against the photos), views (how many), lost
    (sentences), plan (what was tried for a target size, with its PSNR in small pictures, and what was chosen), why (the
    same as a sentence), report, seconds, per_view."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Export, "export", _counted(arguments), f"{EXAMPLES}\n\nWhat each kind of file holds:\n{table()}")
    with reporting(options.json) as report:
        values = export_scene(options)
        report(values, as_text(values))


def _counted(arguments: Sequence[str]) -> list[str]:
    """The words, with the number of steps that --finetune alone stands for."""
    words = list(arguments)
    for position, word in enumerate(words):
        if word == "--finetune" and not "".join(words[position + 1 : position + 2]).isdecimal():
            words.insert(position + 1, str(FINETUNE))
            break
    return words


def export_scene(options: Export) -> dict[str, Any]:
    """Writes the copy.

    Returns:
        What `--json` prints.
    """
    from splat.budget import parse_bytes
    from splat.errors import SplatError
    from splat.export.kinds import is_page, kind
    from splat.export.run import Wishes, export

    started = perf_counter()
    kind(options.output)
    if options.output.suffix == ".json":
        raise SplatError(
            f"{options.output} is one of several files: export a .sog, or write them with `splat convert`."
        )
    check_output(scene_file(options.scene), options.output)
    least = 1 if options.max_gaussians is None else options.max_gaussians
    if not 0 <= (options.sh_degree or 0) <= 4 or least < 1:
        raise SplatError("--sh-degree is 0 to 4, and --max-gaussians at least 1.")
    if options.finetune < 0:
        raise SplatError("--finetune takes a number of steps, 0 or more.")
    if options.threshold is not None and not math.isfinite(options.threshold):
        raise SplatError("--threshold takes a number of decibels, such as 30.")
    if options.path is not None and not is_page(options.output):
        raise SplatError("--path is for pages: name the output .html, or film it with `splat render --path`.")
    if options.no_verify and (options.report or options.threshold is not None):
        raise SplatError("--threshold and --report are about the comparison that --no-verify leaves out.")
    target = None if options.target_size is None else parse_bytes(options.target_size)
    flight = None if options.path is None else read_flight(options.path)
    original, views = open_original(options)
    views = replace(views, flight=flight)
    warn(views.notes)
    wishes = Wishes(
        sh_degree=options.sh_degree,
        max_gaussians=options.max_gaussians,
        target_size=target,
        finetune=options.finetune,
        verify=not options.no_verify,
        report=options.report,
        threshold=options.threshold,
    )
    exported = export(original, options.output, views, wishes, Said())
    return describe(exported, views) | {"seconds": perf_counter() - started}


def read_flight(path: Path) -> Flight:
    """The camera path in a file."""
    from splat.errors import SplatError
    from splat.formats.cameras import read_object
    from splat.formats.flight import from_object

    flight = from_object(read_object(path), str(path))
    if not flight.keys:
        raise SplatError(f"{path} is a flight without keys: add some in the viewer's Path tab.")
    return flight


def open_original(options: Export) -> tuple[Gaussians, Views]:
    """The scene, with the filter that it was trained for, and from where it is looked at."""
    from splat.errors import SplatError
    from splat.export.views import of_file, of_run
    from splat.train.run import load_config

    file, gaussians = read_scene(options.scene, options.device)
    if not len(gaussians):
        raise SplatError(f"{file} holds no Gaussians, so there is nothing to export; choose another scene.")
    if not all((options.scene / name).is_file() for name in (CONFIG, CAMERAS)):
        if options.capture is not None:
            raise SplatError(f"--capture says where a run's photos are, and {options.scene} is no run.")
        return gaussians, of_file(gaussians)
    gaussians = replace(gaussians, antialias=load_config(options.scene).antialias)
    return gaussians, of_run(options.scene, options.scene / CAMERAS, options.capture)


class Said(Progress):
    """Progress on stderr."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterable[T]:
        return track(items, what, total)

    def during(self, what: str) -> AbstractContextManager[None]:
        return during(what)


def describe(exported: Exported, views: Views) -> dict[str, Any]:
    """The facts, as `--json` prints them."""
    from splat.export.verify import mean

    losses = exported.losses
    return {
        "output": str(exported.path),
        "bytes": exported.bytes,
        "ratio": exported.plain_bytes / exported.bytes,
        "gaussians": exported.gaussians,
        "sh_degree": exported.sh_degree,
        "psnr": mean(losses, "psnr"),
        "psnr_worst": min((loss.psnr for loss in losses), default=None),
        "photos": {"original": mean(losses, "original"), "copy": mean(losses, "copy")},
        "views": len(losses),
        "lost": exported.lost,
        "plan": None if exported.plan is None else asdict(exported.plan),
        "why": "" if exported.plan is None else str(exported.plan),
        "report": None if exported.report is None else str(exported.report),
        "per_view": [asdict(loss) for loss in losses],
    }


def as_text(values: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{values['output']}: {size(values['bytes'])}, {values['ratio']:.1f} times smaller than the PLY; "
        f"{values['gaussians']:,} Gaussians, SH degree {values['sh_degree']}"
    ]
    if values["why"]:
        lines.append(values["why"])
    if values["views"]:
        lines.append(
            f"read back, against the original: {values['psnr']:.2f} dB, {values['psnr_worst']:.2f} dB in the worst of "
            f"{values['views']} views"
        )
        photos = values["photos"]
        if photos["copy"] is not None:
            lines.append(f"against the photos: {photos['copy']:.2f} dB, the original {photos['original']:.2f} dB")
    if values["report"] is not None:
        lines.append(f"side by side: {values['report']}")
    return "\n".join([*lines, *(f"lost: {sentence}" for sentence in values["lost"])])
