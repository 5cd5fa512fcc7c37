"""What a training step costs on this machine: a few real steps on the capture at hand."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splat.train.config import OptimConfig, ResolutionConfig, SaveConfig, TrainConfig
from splat.train.init import initial_gaussians
from splat.train.listeners import Listener, StepReport
from splat.train.trainer import Trainer
from splat.train.views import TrainingViews

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Views that are measured on.
VIEWS = 4
#: Pixels of the larger of the two image sizes that are measured, at most, and the factor between their sides.
PIXELS, SMALLER = 400_000, 4
#: Gaussians in the denser of the two scenes that are measured, about, and how many times those of the start.
DENSE, LEAST_COPIES, MOST_COPIES = 60_000, 2, 64
#: Steps that are not counted, those that are, and seconds after which no more are taken.
WARM, STEPS, SECONDS = VIEWS, 3 * VIEWS, 1.5


@dataclass(frozen=True)
class StepCost:
    """Seconds of a training step, and of what is done once a photo.

    Attributes:
        base, per_pixel, per_gaussian, per_both: a step takes the sum of the first, the second times the image's pixels,
            the third times the scene's Gaussians and the last times both.
        per_photo: to decode a photo and to reduce it to the sizes of the early steps.
    """

    base: float
    per_pixel: float
    per_gaussian: float
    per_both: float
    per_photo: float

    def step(self, pixels: float, gaussians: float) -> float:
        """Seconds of one step."""
        return self.base + self.per_pixel * pixels + (self.per_gaussian + self.per_both * pixels) * gaussians


def through(
    pixels: tuple[float, float], gaussians: tuple[float, float], seconds: list[list[float]], per_photo: float
) -> StepCost:
    """The cost that agrees with four measurements, except where noise would make a part of it negative: that is zero.

    Args:
        seconds: by number of Gaussians, then of pixels, in the order of the other arguments.
    """
    slopes = [(large - small) / (pixels[1] - pixels[0]) for small, large in seconds]
    per_both = max((slopes[1] - slopes[0]) / (gaussians[1] - gaussians[0]), 0.0)
    per_pixel = max(slopes[0] - per_both * gaussians[0], 0.0)
    rest = [row[0] - (per_pixel + per_both * count) * pixels[0] for row, count in zip(seconds, gaussians, strict=True)]
    per_gaussian = max((rest[1] - rest[0]) / (gaussians[1] - gaussians[0]), 0.0)
    return StepCost(max(rest[0] - per_gaussian * gaussians[0], 0.0), per_pixel, per_gaussian, per_both, per_photo)


def measure(scene: Scene, config: TrainConfig) -> StepCost:
    """Takes steps at two image sizes, on the scene that training starts from and on a denser one, with every
    spherical-harmonic degree in use. It lasts a few seconds and leaves nothing behind.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came meanwhile.
    """
    spread = range(0, len(scene.train), max(len(scene.train) // VIEWS, 1))
    views = [scene.train[index] for index in spread][:VIEWS]
    camera = scene.views[views[0]].camera
    generator = torch.Generator().manual_seed(config.seed)
    start = initial_gaussians(scene, config, generator)
    copies = min(max(DENSE // len(start), LEAST_COPIES), MOST_COPIES)
    offsets = 0.5 * torch.randn(copies * len(start), 3, generator=generator)
    dense = start.means.repeat(copies, 1) + offsets * start.scales.repeat(copies, 1)

    large = 1
    while camera.width * camera.height > PIXELS * large**2:
        large *= 2
    factors = (large * SMALLER, large)
    sizes = [(camera.width // factor) * (camera.height // factor) for factor in factors]
    per_photo = _photo_seconds(scene, config, views)
    seconds = [
        [_step_seconds(scene, config, views, means, factor) for factor in factors] for means in (start.means, dense)
    ]
    return through((sizes[0], sizes[1]), (len(start), len(dense)), seconds, per_photo)


def _photo_seconds(scene: Scene, config: TrainConfig, views: list[int]) -> float:
    photos = TrainingViews(scene, torch.device("cpu"), keep_alpha=config.background == "random")
    started = time.perf_counter()
    for view in views:
        for factor in (4, 2, 1):
            photos.target(view, factor)
    return (time.perf_counter() - started) / len(views)


def _step_seconds(scene: Scene, config: TrainConfig, views: list[int], means: Tensor, factor: int) -> float:
    """Of a mean step of a run whose every image is divided by `factor`."""
    probe = replace(
        scene, points=means, point_colors=torch.full(means.shape, 128, dtype=torch.uint8), train=views, test=[]
    )
    # What is decoded now is decoded for the run.
    probe.cache = scene.cache
    settings = replace(
        config,
        max_gaussians=len(means),
        init=replace(config.init, few_points=0),
        optim=OptimConfig(sh_every=1),
        resolution=ResolutionConfig(coarsest=factor, full_from=torch.inf, least_side=1),
        save=SaveConfig(log_every=1),
    )
    stopwatch = _Stopwatch()
    reason = Trainer(probe, settings, [stopwatch]).run()
    if reason.startswith("SIG"):
        raise KeyboardInterrupt
    return stopwatch.mean()


class _Stopwatch(Listener):
    """Ends a run once enough steps are timed."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        self.ends.append(report.seconds)
        if len(self.ends) > WARM and (len(self.ends) == WARM + STEPS or report.seconds > SECONDS):
            trainer.request_stop()

    def mean(self) -> float:
        counted = self.ends[WARM - 1 :]
        return (counted[-1] - counted[0]) / (len(counted) - 1)
