"""The original gradient rule: double what the image keeps pulling at, drop what has become invisible.

Source:
    Kerbl et al., "3D Gaussian Splatting", 2023, section 5.2 and its released schedule. Differs: a hard cap, under which
    the strongest gradients grow first; the screen-size rule, which never fires in the release, is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.render import Rendering
from splat.train.config import DensityConfig, TrainConfig, scaled
from splat.train.density.children import scattered
from splat.train.density.choice import dead, logit, strongest
from splat.train.density.gradients import lengths, mean_over_views
from splat.train.density.look import Looks
from splat.train.density.protocol import Edit, Reset, Strategy
from splat.train.density.window import Window


class Adc(Strategy):
    """Adaptive density control of a run."""

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        self.rule: DensityConfig = config.density
        self.extent = extent
        self.max_gaussians = config.max_gaussians
        self.split_scale = self.rule.split_scale
        self.window = Window.of(config, self.rule.stop)
        self.reset_every = scaled(self.rule.reset_every, config.iterations, self.rule.least_reset_every)
        self.statistics = {
            "gradient": torch.zeros(count, device=device),
            "views": torch.zeros(count, dtype=torch.int32, device=device),
        }

    def watch(self, rendering: Rendering) -> None:
        rendering.means2d.retain_grad()

    def observe(self, rendering: Rendering, step: int) -> None:
        """Adds up, over the views that see a Gaussian, the length of d loss / d centre in half images."""
        if step >= self.window.stop:
            return
        gradient = rendering.means2d.grad
        assert gradient is not None
        for length, visible in zip(lengths(gradient, rendering), rendering.visible, strict=True):
            self.statistics["gradient"] += length
            self.statistics["views"] += visible

    def adapt(self, gaussians: Gaussians, step: int, generator: torch.Generator, looks: Looks) -> Edit | None:
        if not self.window.start < step < self.window.stop:
            return None
        refines, resets = self.window.due(step), step % self.reset_every == 0
        if not refines and not resets:
            return None
        ceiling = logit(self.rule.reset_opacity) if resets else math.inf
        reset = None
        if resets:
            rows = torch.arange(len(gaussians), device=gaussians.device)
            reset = Reset(rows, {"opacity_logits": gaussians.opacity_logits.clamp(max=ceiling)})
        if not refines:
            return Edit(reset=reset)
        gone, clone, split = self._decide(gaussians, step)
        children = scattered(gaussians.select(split), generator)
        children.opacity_logits.clamp_(max=ceiling)
        keep, clones = ~(gone | split), clone.nonzero()[:, 0]
        return Edit(reset=reset, keep=keep, clone=clones, new=children.parameters(), forget=True)

    def strength(self, large: Tensor) -> Tensor:
        """[N] how strongly the image pulls at each Gaussian, in units of the threshold above which it is doubled.

        Args:
            large: [N] bool, those that would be split; the others would be cloned.
        """
        return mean_over_views(self.statistics["gradient"], self.statistics["views"]) / self.rule.grow_gradient

    def _decide(self, gaussians: Gaussians, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Which Gaussians are removed, cloned and split: [N] bool each, no Gaussian in two of them."""
        largest = gaussians.log_scales.amax(dim=1)
        gone = dead(gaussians, self.rule.prune_opacity)
        if step > self.reset_every:
            gone |= largest > math.log(self.rule.prune_scale * self.extent)
        large = largest > math.log(self.split_scale * self.extent)
        strength = self.strength(large)
        room = self.max_gaussians - int((~gone).count_nonzero())
        hot = strongest(strength, (strength >= 1) & ~gone, room)
        return gone, hot & ~large, hot & large
