"""`splat capture`: photos or a video to cameras and points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from splat.cli.options import Output, parse
from splat.cli.output import reporting, say, warn
from splat.datasets.capture import CaptureConfig, CaptureResult, capture

EXAMPLES = """\
  splat capture photos/ -o scene
  splat capture walk.mp4 -o scene --frames 120
  splat capture photos/ -o scene                    (again: goes on where it was interrupted)"""

#: What each stage of `splat.datasets.capture` does, for the person who waits.
STAGES = {
    "frames": "take frames from the video",
    "photos": "look at the photos",
    "features": "find features",
    "matching": "match photos",
    "mapping": "place photos",
}


@dataclass
class Capture:
    """Finds where photos were taken from, by COLMAP. Writes COLMAP's layout, images/ and sparse/0/, with
    capture.json and capture_report.html, which says how good the capture is and what would make it better.
    """

    photos: Annotated[Path, tyro.conf.Positional]
    """Folder of photos, or a video."""
    output: Output
    """Folder to make."""
    config: Annotated[CaptureConfig, tyro.conf.arg(name="")] = field(default_factory=CaptureConfig)
    """How."""
    json: bool = False
    """Print one JSON object: photos, registered, unregistered, left_out, points, reprojection_error, advice, …"""


def main(arguments: Sequence[str]) -> None:
    options = parse(Capture, "capture", arguments, EXAMPLES)
    with reporting(options.json) as report:
        result = capture_photos(options)
        report(result.to_json(), as_text(result))


def capture_photos(options: Capture) -> CaptureResult:
    """Makes the capture, with a bar and the time left for each stage."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, TextColumn("left"), console=console, disable=not console.is_terminal) as bar:
        tasks = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(STAGES[stage], total=total)
                if not console.is_terminal:
                    say(f"{STAGES[stage]} ({total})")
            bar.update(tasks[stage], completed=done, total=total)

        result = capture(options.photos, options.output, options.config, progress)
    if result.continued:
        say(f"{options.output} was begun earlier and has been finished; remove it to start anew.")
    warn(result.warnings)
    return result


def as_text(result: CaptureResult) -> str:
    lines = [
        f"{result.output}: {len(result.registered)} of {result.photos} photos placed, {result.points:,} points, "
        f"mean reprojection error {result.reprojection_error:.2f} px",
        *(f"  advice: {sentence}" for sentence in result.advice),
        f"  report: {result.output / 'capture_report.html'}",
        f"Go on with: splat train {result.output} -o RUN --view",
    ]
    return "\n".join(lines)
