"""Our own: budgeted growth, the noise of mcmc, shapes and colours that hurry the fewer steps there are, and Gaussians
left out the more often the fewer photos there are.

Source:
    `budgeted`, `noise` and `dropout` name theirs. Chosen by measurement among these and the other strategies; see
    docs/benchmarks/quality.md.
"""

from __future__ import annotations

import torch

from splat.gaussians import Gaussians
from splat.train.config import REFERENCE_STEPS, TrainConfig
from splat.train.density.budgeted import Budgeted
from splat.train.density.noise import tremble
from splat.train.density.protocol import Nudge

#: Rates are stated for 30,000 steps; a shorter run raises those of shapes and colours by this power of the ratio.
HASTE = 1 / 3
#: Share of the Gaussians that images are made without at the end of a run, times the number of photos.
DROPOUT = 5.0


class Splat(Budgeted):
    """Budgeted growth of Gaussians that tremble while they hardly show, and that take shape and colour in time."""

    dropout = DROPOUT

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        super().__init__(config, extent, count, device)
        haste = max(1.0, REFERENCE_STEPS / config.iterations) ** HASTE
        self.rate_factors = dict.fromkeys(("quats", "log_scales", "sh", "sh_rest"), haste)

    def nudge(self, gaussians: Gaussians, step: int, rate: float, generator: torch.Generator) -> Nudge:
        return Nudge(offsets={"means": tremble(gaussians, rate, generator)}, gradients={})
