"""The gradient rule with gradients that do not cancel out: what is too large for its pixels is split.

Source:
    Ye et al., "AbsGS: recovering fine details for 3D Gaussian splatting", 2024. Differs: as in `adc`; opacities are not
    clipped to 0.8, which the release does every 500 steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splat.render import Rendering
from splat.train.config import TrainConfig
from splat.train.density.adc import Adc
from splat.train.density.gradients import lengths, mean_over_views

#: Threshold of the absolute gradients, in that of the signed ones: 4e-4 over 2e-4.
ABSOLUTE_OVER_SIGNED = 2.0
#: Largest scale, in scene extents, up to which a Gaussian is cloned; a tenth of the original's, so that most are split.
SPLIT_SCALE = 0.001


class AbsGrad(Adc):
    """`Adc` that splits by the sum over pixels of absolute gradients, and clones by their signed sum as ever."""

    absgrad = True

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        super().__init__(config, extent, count, device)
        self.split_scale = SPLIT_SCALE
        self.statistics["absgrad"] = torch.zeros(count, device=device)

    def observe(self, rendering: Rendering, step: int) -> None:
        if step >= self.window.stop:
            return
        assert rendering.absgrad is not None and rendering.absgrad.grad is not None
        absolute = lengths(rendering.absgrad.grad, rendering)
        super().observe(rendering, step)
        for length in absolute:
            self.statistics["absgrad"] += length

    def strength(self, large: Tensor) -> Tensor:
        absolute = mean_over_views(self.statistics["absgrad"], self.statistics["views"])
        return torch.where(large, absolute / (ABSOLUTE_OVER_SIGNED * self.rule.grow_gradient), super().strength(large))
