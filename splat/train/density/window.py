"""When a strategy acts."""

from __future__ import annotations

from dataclasses import dataclass

from splat.train.config import REFERENCE_STEPS, TrainConfig, scaled


@dataclass(frozen=True)
class Window:
    """Every so many steps between two others, neither of which counts."""

    start: int
    stop: int
    every: int

    @staticmethod
    def of(config: TrainConfig, stop: int) -> Window:
        """The refinements of a run, up to a step that is stated for 30,000 steps."""
        rule = config.density
        every = scaled(rule.every, config.iterations, rule.least_every)
        return Window(scaled(rule.start, config.iterations), scaled(stop, config.iterations), every)

    def due(self, step: int) -> bool:
        return self.start < step < self.stop and step % self.every == 0

    def progress(self, step: int) -> float:
        """How much of the refinements lies behind once the one at this step is done: 1 at the last."""
        first = self.start // self.every
        return min((step // self.every - first) / max((self.stop - 1) // self.every - first, 1), 1.0)

    def growth(self, rate: float, every: int, iterations: int) -> float:
        """The factor of one refinement, of a rate that is stated for one in `every` of 30,000 steps."""
        return (1 + rate) ** (self.every * REFERENCE_STEPS / iterations / every)
