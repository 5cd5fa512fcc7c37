"""Gaussians as samples of the scene: none is split; those that have faded move to where opacity is, and all tremble.

Source:
    Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024. Differs: what moves and what is
    new is drawn at once; the moments of both are zeroed; training starts from the Gaussians that all strategies start
    from.
"""

from __future__ import annotations

import torch

from splat.gaussians import Gaussians
from splat.ops.share import share
from splat.train.config import TrainConfig
from splat.train.density.choice import dead, draw
from splat.train.density.look import Looks
from splat.train.density.noise import LEAST_OPACITY, tremble
from splat.train.density.protocol import Edit, Nudge, Reset, Strategy
from splat.train.density.window import Window
from splat.train.regularise import pull

#: Step (of 30,000) from which on Gaussians stay where they are.
STOP = 25_000
#: A refinement's growth, stated for one in 100 of 30,000 steps.
GROWTH, GROWTH_EVERY = 0.05, 100
#: Copies of one Gaussian, itself included, that its new opacity and scale account for.
MOST_COPIES = 50
#: Weights in the loss of the mean opacity and of the mean scale.
OPACITY_WEIGHT, SCALE_WEIGHT = 0.01, 0.01


class Mcmc(Strategy):
    """Grows to the cap and stays there. Its numbers are the paper's; of `TrainConfig.density` it takes when to refine,
    but not when to stop."""

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        self.max_gaussians = config.max_gaussians
        self.window = Window.of(config, STOP)
        self.growth = self.window.growth(GROWTH, GROWTH_EVERY, config.iterations)
        self.statistics = {}

    def nudge(self, gaussians: Gaussians, step: int, rate: float, generator: torch.Generator) -> Nudge:
        """Noise of each Gaussian's own shape on the centres of those that hardly show, and a pull of all towards
        transparent and small."""
        return Nudge(
            offsets={"means": tremble(gaussians, rate, generator)},
            gradients=pull(gaussians, OPACITY_WEIGHT, SCALE_WEIGHT),
        )

    def adapt(self, gaussians: Gaussians, step: int, generator: torch.Generator, looks: Looks) -> Edit | None:
        if not self.window.due(step):
            return None
        gone = dead(gaussians, LEAST_OPACITY)
        alive = int((~gone).count_nonzero())
        wanted = min(self.max_gaussians, int(self.growth * len(gaussians)))
        if alive == 0 or wanted <= alive:
            return Edit(keep=~gone)
        drawn = draw(torch.where(gone, 0, gaussians.opacities), wanted - alive, generator)
        copies = torch.bincount(drawn, minlength=len(gaussians)) + 1
        sources = (copies > 1).nonzero()[:, 0]
        shared = gaussians.select(sources)
        opacities, shrink = share(shared.opacities, copies[sources].clamp(max=MOST_COPIES))
        shared.opacity_logits = opacities.clamp(min=LEAST_OPACITY).logit()
        shared.log_scales = shared.log_scales + shrink.log()[:, None]
        return Edit(reset=Reset(sources, shared.parameters()), keep=~gone, clone=drawn)
