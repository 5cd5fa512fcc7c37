"""Doubles what is blended into the pixels that are wrong, whatever their gradients say.

Source:
    Rota Bulo et al., "Revising densification in Gaussian splatting", 2024. Differs: the error of a pixel is its mean
    absolute difference, where the paper takes 1 - SSIM; it is looked up in several views at a refinement instead of in
    each that was trained on since the last; the penalty on what shines through is left out.
"""

from __future__ import annotations

import math

import torch

from splat.gaussians import Gaussians
from splat.train.config import TrainConfig
from splat.train.density.children import scattered
from splat.train.density.choice import dead, strongest
from splat.train.density.look import Looks
from splat.train.density.protocol import Edit, Nudge, Reset, Strategy
from splat.train.density.window import Window

#: Step (of 30,000) from which on the number of Gaussians stays.
STOP = 27_000
#: A refinement's growth at most, stated for one in 100 of 30,000 steps.
GROWTH, GROWTH_EVERY = 0.05, 100
#: Error above which a Gaussian is doubled: the worst view's sum over pixels, by blending weight.
LEAST_ERROR = 0.1
#: Views that are looked at.
VIEWS = 10
#: What every opacity loses at a refinement, in place of resets.
OPACITY_LOSS = 0.001


class Revising(Strategy):
    """Of `TrainConfig.density` it takes when to refine, but not when to stop, the scale that tells clones from splits
    and the opacity below which a Gaussian is removed."""

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        self.rule = config.density
        self.extent = extent
        self.max_gaussians = config.max_gaussians
        self.window = Window.of(config, STOP)
        self.growth = self.window.growth(GROWTH, GROWTH_EVERY, config.iterations)
        self.statistics = {}

    def nudge(self, gaussians: Gaussians, step: int, rate: float, generator: torch.Generator) -> Nudge | None:
        if not self.window.due(step):
            return None
        lowered = (gaussians.opacities - OPACITY_LOSS).clamp(min=OPACITY_LOSS).logit()
        offset = (lowered - gaussians.opacity_logits).clamp(max=0)
        return Nudge(offsets={"opacity_logits": offset}, gradients={})

    def adapt(self, gaussians: Gaussians, step: int, generator: torch.Generator, looks: Looks) -> Edit | None:
        if not self.window.due(step):
            return None
        gone = dead(gaussians, self.rule.prune_opacity)
        worst = torch.zeros_like(gaussians.opacity_logits)
        for look in looks(VIEWS):
            worst = worst.maximum(look.gather(look.error())[0])
        alive = int((~gone).count_nonzero())
        room = min(self.max_gaussians, int(self.growth * alive)) - alive
        doubled = strongest(worst, (worst >= LEAST_ERROR) & ~gone, room)
        large = gaussians.log_scales.amax(dim=1) > math.log(self.rule.split_scale * self.extent)
        clones = (doubled & ~large).nonzero()[:, 0]
        split = doubled & large
        # Two of opacity p hide what one of opacity o did: (1 - p)^2 = 1 - o.
        halved = (1 - (1 - gaussians.opacities[clones]).sqrt()).logit()
        return Edit(
            reset=Reset(clones, {"opacity_logits": halved}),
            keep=~(gone | split),
            clone=clones,
            new=scattered(gaussians.select(split), generator).parameters(),
        )
