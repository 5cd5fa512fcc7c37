"""Photos straightened before training against photos trained on as their lens bent them.

    python scripts/bench_lens.py DATA/sceaux_castle --downscale 4 --iterations 1500 --max-gaussians 40000
    python scripts/bench_lens.py --times

Takes the settings of `splat train`. Trains on both, and on straightened photos by the unscented transform, too, to tell
what it does from what resampling does. Each scene is scored in all three ways. PSNR on straightened photos and PSNR on
bent ones are not to be compared with one another: they show different parts of the scene, differently sampled.
--times compares projection by the unscented transform with EWA on made-up Gaussians: the least of interleaved runs, in
CPU time of this process.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import tyro

from splat.cameras import Cameras, intrinsics
from splat.evaluate.metrics import BLACK, evaluate_views
from splat.gaussians import Gaussians
from splat.ops.project import Projection, project
from splat.ops.project_adam import RATES, project_adam
from splat.render import ProjectionMode, projection_settings
from splat.train.config import TrainConfig
from splat.train.listeners import Listener, StepReport
from splat.train.run import open_capture
from splat.train.trainer import Trainer

COUNT, ROUNDS = 100_000, 15
#: The photos, whether the transform is used, and what that is called in the table.
WAYS = (
    ("undistort", False, "straightened, EWA"),
    ("undistort", True, "straightened, unscented"),
    ("native", True, "bent, unscented"),
)
#: The modes that are timed: distortion and projection.
MODES: dict[str, tuple[tuple[float, ...] | None, ProjectionMode]] = {
    "ewa": (None, "ewa"),
    "unscented": (None, "unscented"),
    "unscented, bent": ((0.05, -0.07, 0.0, 0.0), "auto"),
}


@dataclasses.dataclass
class Bench:
    """Trains a capture both ways, or measures times."""

    capture: Annotated[Path | None, tyro.conf.Positional] = None
    """The capture's folder."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainConfig)
    """What to train and how."""
    times: bool = False
    """Measure times instead."""


class Clock(Listener):
    """CPU seconds of the steps."""

    seconds = 0.0

    def on_start(self, trainer: Trainer) -> None:
        self.since = time.process_time()

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        now = time.process_time()
        self.seconds += now - self.since
        self.since = now

    def on_eval(self, trainer: Trainer, report: object) -> None:
        self.since = time.process_time()


def compare(capture: Path, config: TrainConfig) -> None:
    scenes = {}
    for photos, unscented, name in WAYS:
        data = dataclasses.replace(config.data, lens=photos)
        scenes[name] = scene = open_capture(capture, dataclasses.replace(config, data=data))
        for view in scene.views:
            if unscented and view.camera.distortion is None:
                # A lens of no distortion looks like none, and goes the way of those that have some.
                view.camera = dataclasses.replace(view.camera, distortion=torch.zeros(1, 4))
    print(f"| trained on photos | scored on: {' | '.join(scenes)} | Gaussians | CPU ms a step |")
    print("|---" * (len(scenes) + 3) + "|")
    for name, scene in scenes.items():
        clock = Clock()
        trainer = Trainer(scene, config, [clock])
        trainer.run()
        gaussians = trainer.gaussians()
        cells = []
        for seen in scenes.values():
            background = torch.tensor(seen.background or BLACK)
            views = evaluate_views(gaussians, seen, seen.test, antialias=config.antialias, background=background)
            psnr, ssim = (sum(getattr(view, score) for view in views) / len(views) for score in ("psnr", "ssim"))
            cells.append(f"{psnr:.2f} dB, {ssim:.3f}")
        per_step = 1000 * clock.seconds / config.iterations
        print(f"| {name} | {' | '.join(cells)} | {len(gaussians):,} | {per_step:.0f} |", flush=True)


def made_up() -> tuple[Gaussians, Cameras]:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(COUNT, 3, generator=generator) * torch.tensor([1.5, 1.1, 0.5]) + torch.tensor([0.0, 0.0, 4.0])
    quats, sh = torch.randn(COUNT, 4, generator=generator), torch.randn(COUNT, 16, 3, generator=generator)
    scene = Gaussians(means, quats, torch.full((COUNT, 3), -4.0), torch.zeros(COUNT), sh)
    return scene, Cameras(torch.eye(4)[None], intrinsics(640, 480, 0.8)[None], 640, 480)


def works(scene: Gaussians, cameras: Cameras, mode: ProjectionMode) -> dict[str, Callable[[], object]]:
    """Projection, and its backward with Adam's step, as training runs them."""
    tensors = [value.clone() for value in scene.parameters().values()]
    first, second = ([torch.zeros_like(x) for x in tensors] for _ in range(2))
    last_steps = torch.zeros(COUNT, dtype=torch.int32)
    viewmats, Ks = cameras.viewmats, cameras.Ks
    settings = projection_settings(scene, cameras, projection=mode)
    projection = project(**scene.parameters(), viewmats=viewmats, Ks=Ks, **settings)
    cotangents = Projection(*(torch.ones_like(x) for x in projection))

    def forward() -> None:
        anew = projection_settings(scene, cameras, projection=mode)
        project(**scene.parameters(), viewmats=viewmats, Ks=Ks, **anew)

    def backward() -> None:
        project_adam(
            tensors, first, second, last_steps, viewmats, Ks, **settings, projection=projection, cotangents=cotangents,
            rates=[1e-9] * len(RATES), step=1,
        )  # fmt: skip

    return {"project": forward, "project adam": backward}


def measure() -> None:
    torch.set_num_threads(1)
    scene, cameras = made_up()
    todo: dict[str, dict[str, Callable[[], object]]] = {}
    for name, (distortion, mode) in MODES.items():
        k = None if distortion is None else torch.tensor([distortion])
        todo[name] = works(scene, dataclasses.replace(cameras, distortion=k), mode)
    best = {(name, stage): math.inf for name, stages in todo.items() for stage in stages}
    for _ in range(ROUNDS):
        for name, stages in todo.items():
            for stage, work in stages.items():
                started = time.process_time()
                work()
                best[name, stage] = min(best[name, stage], time.process_time() - started)
    print("| stage | " + " | ".join(todo) + " |\n|---|" + "---|" * len(todo))
    for stage in ("project", "project adam"):
        base = best["ewa", stage]
        cells = [f"{1e9 * best[name, stage] / COUNT:.0f} ns ({best[name, stage] / base:.2f})" for name in todo]
        print(f"| {stage} | {' | '.join(cells)} |")


def main(options: Bench) -> None:
    if options.times:
        measure()
    elif options.capture is None:
        raise SystemExit("Give the folder of a capture, or --times.")
    else:
        compare(options.capture, options.config)


if __name__ == "__main__":
    main(tyro.cli(Bench))
