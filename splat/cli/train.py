"""`splat train`: photos or a capture to a scene, with the browser watching if asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splat.budget import Budget
from splat.cli.browser import LOOPBACK, announce, shared_host, wait_for_interrupt
from splat.cli.main import STOPPED
from splat.cli.needs import require
from splat.cli.options import Output, parse
from splat.cli.output import amount, reporting, warn
from splat.cli.runs import SCENE, read_scene
from splat.train.config import DataConfig, TrainConfig

if TYPE_CHECKING:
    from splat.datasets.scene import Scene
    from splat.train.listeners import Listener
    from splat.train.run import Run

EXAMPLES = """\
  splat train photos/ -o run --view                 from photos, watched in the browser
  splat train scene -o run --iterations 15000       from a capture: COLMAP, nerfstudio or Blender
  splat train scene -o run --downscale 2 --max-gaussians 200000
  splat train scene -o run --target-size 15MB --target-time 5min
  splat train scene -o run --resume                 goes on where the run was interrupted"""


#: The capture that is made of bare photos, in the run's folder.
CAPTURE = "capture"
#: What describes the capture and what bounds the run are typed often, so they may be typed without their group:
#: --format for --data.format.
SHORT_FLAGS = {
    f"--{item.name.replace('_', '-')}": f"--{group}.{item.name.replace('_', '-')}"
    for group, kind in (("data", DataConfig), ("budget", Budget))
    for item in fields(kind)
}


@dataclass
class Train:
    """Trains a scene. Photos (or a video) without cameras are captured first, into OUTPUT/capture.
    The run's folder gets scene.ply, cameras.json, config.json, metrics.jsonl, checkpoints/ and report.html.
    Ctrl-C saves the run; --resume goes on with it.
    Flags of the groups budget and data may be given without the group: --target-size 15MB, --masks FOLDER.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of photos, a video, or a capture: COLMAP's images/ and sparse/0/, or a transforms.json."""
    output: Output
    """The run's folder."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    """What to train and how."""
    resume: bool = False
    """Go on with the run in OUTPUT from its newest checkpoint, with its own settings where no flag says otherwise."""
    overwrite: bool = False
    """Replace the run in OUTPUT."""
    view: bool = False
    """Show the scene in the browser while it trains, and afterwards until Ctrl-C."""
    share: bool = False
    """With --view: let other machines look, as of `splat view`."""
    port: int | None = None
    """Port of the viewer; 8080 or the next free one if not given."""
    close_when_done: bool = False
    """With --view: end when training ends."""
    json: bool = False
    """Print one JSON object at the end: run, reason, steps, psnr, ssim, views, gaussians, seconds, scene, report,
    psnr_aligned where poses are refined (dB, with the pose fitted to each photo), and budget: what was asked and what
    came out."""


def main(arguments: Sequence[str]) -> int:
    words = [_whole_flag(word) for word in arguments]
    options = parse(Train, "train", words, EXAMPLES)
    if options.resume:
        from splat.train.run import load_config

        # The flags given now are laid over the run's own settings, not over the defaults.
        saved = Train(options.source, options.output, load_config(options.output))
        options = parse(Train, "train", words, EXAMPLES, default=saved)
    if options.view:
        require("--view", "viewer")
    with reporting(options.json) as report:
        scene = open_or_capture(options)
        return train_scene(options, scene, report)


def _whole_flag(word: str) -> str:
    """A word of the command line, with its group where it is one of SHORT_FLAGS; --flag=value counts, too."""
    flag, equals, value = word.partition("=")
    return SHORT_FLAGS.get(flag, flag) + equals + value


def open_or_capture(options: Train) -> Scene:
    """The capture as the run sees it; made first where there are only photos."""
    from splat.datasets.scene import find_format
    from splat.train.plan import tightest
    from splat.train.run import open_capture

    source = options.source
    if find_format(source) is None and options.config.data.format == "auto":
        from splat.cli.capture import Capture, capture_photos

        require("Training on photos without cameras", "capture")
        # What cannot be is said before the photos take their time.
        tightest(options.config, points=0)
        source = options.output / CAPTURE
        capture_photos(Capture(options.source, source))
    scene = open_capture(source, options.config)
    warn(scene.warnings)
    return scene


def train_scene(options: Train, scene: Scene, report: Any) -> int:
    """Trains, writes the report and shows the way on."""
    from splat.train.progress import ProgressBar
    from splat.train.run import train
    from splat.train.spending import TIME

    listeners: list[Listener] = [ProgressBar(options.output)]
    viewer = None
    if options.view:
        from splat.viewer.server import LiveViewer

        host = shared_host() if options.share else LOOPBACK
        viewer = LiveViewer(host=host, port=options.port, announce=partial(announce, shared=options.share))
        listeners.append(viewer)
    run = train(
        scene, options.output, options.config, listeners=listeners, resume=options.resume, overwrite=options.overwrite
    )
    values = summary(run)
    report(values, as_text(values))
    if viewer is not None:
        from splat.viewer.panels.train import STOPPED_THERE

        if run.reason in ("done", TIME, STOPPED_THERE) and not options.close_when_done:
            wait_for_interrupt("The viewer stays open until Ctrl-C.")
        viewer.close()
    return 0 if run.reason in ("done", TIME) else STOPPED


def summary(run: Run) -> dict[str, Any]:
    """What `--json` prints; writes the report of a finished run that held photos out."""
    values: dict[str, Any] = {
        "run": str(run.folder),
        "reason": run.reason,
        "steps": run.step,
        "gaussians": run.gaussians,
        "seconds": run.seconds,
        "scene": str(run.folder / SCENE),
    }
    scores = run.evaluation
    if scores is not None:
        from splat.cli.eval import write_run_report

        scene, (_, gaussians) = run.capture, read_scene(run.folder, run.config.device)
        note = "not measured while training; `splat eval` does where it can"
        page, _ = write_run_report(
            run.folder, run.config, scene, gaussians.transform(scene.normalization), scores.views, scene.test, note
        )
        values |= {"psnr": scores.psnr, "ssim": scores.ssim, "views": len(scores.views), "report": str(page)}
        if scores.psnr_aligned is not None:
            values["psnr_aligned"] = scores.psnr_aligned
    if run.budget:
        values["budget"] = {name: asdict(part) for name, part in run.budget.items()}
    return values


def as_text(values: dict[str, Any]) -> str:
    lines = [f"{values['scene']}: {values['gaussians']:,} Gaussians after {values['seconds']:.0f} s of training"]
    if "psnr" in values:
        aligned = f" ({values['psnr_aligned']:.2f} dB with poses fitted)" if "psnr_aligned" in values else ""
        scores = (
            f"PSNR {values['psnr']:.2f} dB{aligned}, SSIM {values['ssim']:.4f} on {values['views']} held-out photos"
        )
        lines += [f"  {scores}", f"  report: {values['report']}"]
    if "budget" in values:
        parts = (
            f"{name} {amount(part['unit'], part['used'])} of {part['words']}" for name, part in values["budget"].items()
        )
        lines.append(f"  budget: {', '.join(parts)}")
    lines.append(f"Go on with: splat view {values['run']}    splat render {values['run']} --path orbit -o orbit.mp4")
    return "\n".join(lines)
