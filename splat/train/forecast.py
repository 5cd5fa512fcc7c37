"""How long a run will take, from what its steps cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from splat.train.config import REFERENCE_STEPS, TrainConfig
from splat.train.cost import StepCost
from splat.train.schedule import Schedule

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Points of a run at which the cost of a step is computed.
SAMPLES = 60


@dataclass(frozen=True)
class Images:
    """The training photos: how many, pixels of a mean one and of the largest, and the shortest side of any."""

    count: int
    pixels: float
    largest: float
    side: int

    @staticmethod
    def of(scene: Scene) -> Images:
        cameras = [scene.views[index].camera for index in scene.train]
        pixels = [camera.width * camera.height for camera in cameras]
        side = min(min(camera.width, camera.height) for camera in cameras)
        return Images(len(pixels), sum(pixels) / len(pixels), max(pixels), side)

    def shrunk(self, factor: int) -> Images:
        """With sides divided by a factor, the largest photo's rounded up."""
        if factor == 1:
            return self
        longer = self.largest / self.side
        largest = math.ceil(self.side / factor) * math.ceil(longer / factor)
        return Images(self.count, self.pixels / factor**2, largest, self.side // factor)


@dataclass(frozen=True)
class Forecast:
    """Runs of some settings and any number of steps.

    Attributes:
        config: the settings.
        points: Gaussians at the start.
        per_step: a run has at most so many Gaussians a step, unless it begins with more; None where only
            `config.max_gaussians` bounds them.
    """

    cost: StepCost
    images: Images
    config: TrainConfig
    points: int
    per_step: int | None

    def cap(self, iterations: int) -> int:
        """Most Gaussians of a run of so many steps."""
        if self.per_step is None:
            return self.config.max_gaussians
        return min(self.config.max_gaussians, max(self.points, self.per_step * iterations))

    def seconds(self, iterations: int) -> float:
        """What a run of so many steps takes, if Gaussians grow to the cap and are there when it stops growing."""
        cap = self.cap(iterations)
        start, grown = min(self.points, cap), self.config.density.stop / REFERENCE_STEPS
        schedule = Schedule(replace(self.config, iterations=SAMPLES), 1.0)
        total = 0.0
        for sample in range(SAMPLES):
            left = max(1 - (sample + 0.5) / SAMPLES / grown, 0) if grown > 0 else 0
            pixels = self.images.pixels / schedule.factor(sample, self.images.side) ** 2
            total += self.cost.step(pixels, cap - (cap - start) * left**2)
        return self.cost.per_photo * self.images.count + iterations * total / SAMPLES

    def steps(self, seconds: float) -> int:
        """The most steps that take no longer, 0 to REFERENCE_STEPS, for which all schedules are made."""
        least, most = 0, REFERENCE_STEPS
        while least < most:
            middle = (least + most + 1) // 2
            if self.seconds(middle) <= seconds:
                least = middle
            else:
                most = middle - 1
        return least
