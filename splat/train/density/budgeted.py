"""A fixed curve says how many Gaussians there are at each refinement, a score which ones are split for it.

Source:
    Mallick et al., "Taming 3DGS", 2024: the curve, and scores of what several views show. Improved-GS, 2025: absolute
    gradients say who may be split, edges count, and splits go along the longest axis. Differs: the score is the sum
    over views of the pixels' errors and of the photo's edges, by blending weight; Taming's other terms are left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.render import Rendering
from splat.train.config import TrainConfig, scaled
from splat.train.density.children import halves
from splat.train.density.choice import dead, draw_distinct, logit
from splat.train.density.gradients import lengths, mean_over_views
from splat.train.density.look import Looks
from splat.train.density.protocol import Edit, Reset, Strategy
from splat.train.density.window import Window

#: Mean absolute gradient above which a Gaussian may be split, in the threshold of the signed ones: 3e-4 over 2e-4.
ABSOLUTE_OVER_SIGNED = 1.5
#: Training views that a score is taken from.
VIEWS = 10
#: Opacity to which a reset lowers every Gaussian.
RESET_OPACITY = 0.05


class Budgeted(Strategy):
    """Grows to the cap by `DensityConfig.stop`. Of its other settings it takes when to refine and when to reset
    opacities, the gradient threshold and the opacity below which a Gaussian is removed."""

    absgrad = True

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        self.rule = config.density
        self.max_gaussians = config.max_gaussians
        self.first = count
        self.window = Window.of(config, self.rule.stop)
        self.reset_every = scaled(self.rule.reset_every, config.iterations, self.rule.least_reset_every)
        self.statistics = {
            "absgrad": torch.zeros(count, device=device),
            "views": torch.zeros(count, dtype=torch.int32, device=device),
        }

    def observe(self, rendering: Rendering, step: int) -> None:
        if step >= self.window.stop:
            return
        assert rendering.absgrad is not None and rendering.absgrad.grad is not None
        for length, visible in zip(lengths(rendering.absgrad.grad, rendering), rendering.visible, strict=True):
            self.statistics["absgrad"] += length
            self.statistics["views"] += visible

    def target(self, step: int) -> int:
        """Number of Gaussians after the refinement at a step: the curve rises from what there was at the start to the
        cap, ever more slowly."""
        left = 1 - self.window.progress(step)
        return min(math.floor(self.max_gaussians - (self.max_gaussians - self.first) * left * left), self.max_gaussians)

    def adapt(self, gaussians: Gaussians, step: int, generator: torch.Generator, looks: Looks) -> Edit | None:
        if not self.window.start < step < self.window.stop:
            return None
        reset, ceiling = None, math.inf
        if step % self.reset_every == 0:
            ceiling = logit(RESET_OPACITY)
            rows = torch.arange(len(gaussians), device=gaussians.device)
            reset = Reset(rows, {"opacity_logits": gaussians.opacity_logits.clamp(max=ceiling)})
        if not self.window.due(step):
            return None if reset is None else Edit(reset=reset)
        gone = dead(gaussians, self.rule.prune_opacity)
        gradient = mean_over_views(self.statistics["absgrad"], self.statistics["views"])
        candidates = (gradient >= ABSOLUTE_OVER_SIGNED * self.rule.grow_gradient) & ~gone
        room = self.target(step) - int((~gone).count_nonzero())
        split = draw_distinct(torch.where(candidates, _score(looks), 0), room, generator)
        children = halves(gaussians.select(split))
        children.opacity_logits.clamp_(max=ceiling)
        return Edit(reset=reset, keep=~(gone | split), new=children.parameters(), forget=True)


def _score(looks: Looks) -> Tensor:
    """[N] how much of the error and of the edges of several views each Gaussian is blended into."""
    terms = [_over_median(term) for look in looks(VIEWS) for term in look.gather(look.error(), look.edges())]
    return torch.stack(terms).cumsum(0)[-1]


def _over_median(values: Tensor) -> Tensor:
    """[N] values >= 0 in units of the median of those above zero, so that no view counts for more than another."""
    positive = values[values > 0].sort().values
    return values / positive[len(positive) // 2] if len(positive) else values
