"""`splat render`: a camera flight through a scene, or its photos' views, as a video or pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import tyro

from splat.cli.frames import is_video, write_folder, write_video
from splat.cli.options import Antialias, Device, Output, parse
from splat.cli.output import reporting, track

if TYPE_CHECKING:
    from splat.gaussians import Gaussians

EXAMPLES = """\
  splat render run --path orbit -o orbit.mp4
  splat render run --path test -o test_views/        (a folder of PNGs)
  splat render scene.ply -o turntable.mp4 --frames 240 --fps 60
  splat render run --path flight.json -o flight.mp4  (saved in the viewer)
  splat render run --path my_cameras.json -o flight.mp4"""


@dataclass
class Render:
    """Renders a run or a scene file along a camera path, to a video or a folder of PNGs."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Run's folder or scene file."""
    output: Output
    """Video (.mp4 .mov .mkv .webm) or folder of PNGs."""
    path: str = "orbit"
    """orbit: once around what the photos show. train, test: the photos' own views. Or a JSON file: a flight that the
    viewer's Path tab saved, whose pictures are 1920 x 1080, or cameras as in a run's cameras.json."""
    frames: int = 120
    """Pictures on the orbit."""
    fps: int = 30
    """Pictures a second of a video."""
    downscale: float = 1.0
    """Factor by which the pictures' sides are divided."""
    antialias: Antialias | None = None
    """Screen-space filter; the run's or the file's own if not given."""
    background: tuple[float, float, float] | None = None
    """What shows through: red green blue in [0, 1]; the run's own if not given, black for a scene file."""
    device: Device = "auto"
    """Where to render: auto takes an NVIDIA GPU where Splat's kernels run on one, else the CPU."""
    json: bool = False
    """Print one JSON object about what was written."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Render, "render", arguments, EXAMPLES)
    with reporting(options.json) as report:
        started = perf_counter()
        count, (width, height) = render_path(options)
        seconds = perf_counter() - started
        values = {"output": str(options.output), "frames": count, "width": width, "height": height, "seconds": seconds}
        report(values, f"{options.output}: {count} pictures of {width} x {height} in {seconds:.1f} s")


def look(options: Render, gaussians: Gaussians) -> tuple[str, tuple[float, float, float]]:
    """The filter and the background: as asked, else as the run was trained, else as the file says, over black."""
    antialias, background = options.antialias, options.background
    if options.scene.is_dir():
        from splat.train.run import load_background, load_config

        return antialias or load_config(options.scene).antialias, background or load_background(options.scene)
    return antialias or gaussians.antialias, background or (0.0, 0.0, 0.0)


def render_path(options: Render) -> tuple[int, tuple[int, int]]:
    """Renders and writes all pictures.

    Returns:
        Their number, and the width and height of the first.
    """
    import torch

    from splat.cli.paths import camera_path
    from splat.cli.runs import read_scene
    from splat.errors import SplatError
    from splat.render import render
    from splat.video import even

    if options.frames < 1 or options.fps < 1 or not options.downscale > 0:
        raise SplatError("--frames, --fps and --downscale must be above 0.")
    video = is_video(options.output)
    file, gaussians = read_scene(options.scene, options.device)
    antialias, background = look(options, gaussians)
    cameras = camera_path(options.path, options.scene, gaussians, options.frames, options.fps)
    sizes = Counter((camera.width, camera.height) for camera in cameras)
    if video and len(sizes) > 1:
        raise SplatError(f"The views of {options.path} have {len(sizes)} sizes: give -o a folder, not a video.")

    def shrunk(side: int) -> int:
        return even(side / options.downscale) if video else max(1, round(side / options.downscale))

    cameras = [camera.resized(shrunk(camera.width), shrunk(camera.height)) for camera in cameras]

    behind = torch.tensor(background, device=gaussians.device)

    def pictures() -> Iterator[torch.Tensor]:
        for camera in track(cameras, f"render {file.name}", len(cameras)):
            with torch.no_grad():
                camera = camera.to(gaussians.device)
                yield render(gaussians, camera, antialias=antialias, background=behind).rgb[0]

    if video:
        write_video(pictures(), options.output, options.fps, cameras[0].width, cameras[0].height)
    else:
        write_folder(pictures(), options.output)
    return len(cameras), (cameras[0].width, cameras[0].height)
