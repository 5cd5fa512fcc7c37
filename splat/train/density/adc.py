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
from splat.train.density.protocol import Edit, Reset

#: A Gaussian is split into this many, each smaller by SPLIT_SHRINK.
SPLIT_COUNT = 2
SPLIT_SHRINK = 0.8 * SPLIT_COUNT


class Adc:
    """Adaptive density control of a run.

    Args:
        extent: of the cameras, world units.
        count: number of Gaussians at the start.
    """

    absgrad = False

    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None:
        self.rule: DensityConfig = config.density
        self.extent = extent
        self.max_gaussians = config.max_gaussians
        self.start = scaled(self.rule.start, config.iterations)
        self.stop = scaled(self.rule.stop, config.iterations)
        self.every = scaled(self.rule.every, config.iterations, self.rule.least_every)
        self.reset_every = scaled(self.rule.reset_every, config.iterations, self.rule.least_reset_every)
        self.statistics = {
            "gradient": torch.zeros(count, device=device),
            "views": torch.zeros(count, dtype=torch.int32, device=device),
        }

    def watch(self, rendering: Rendering) -> None:
        rendering.means2d.retain_grad()

    def observe(self, rendering: Rendering, step: int) -> None:
        """Adds up, over the views that see a Gaussian, the length of d loss / d centre in half images."""
        if step >= self.stop:
            return
        gradient = rendering.means2d.grad
        assert gradient is not None
        height, width = rendering.rgb.shape[1:3]
        x, y = gradient[..., 0] * (0.5 * width), gradient[..., 1] * (0.5 * height)
        # Culled Gaussians have zero gradient. Written out, and view by view: torch's own reductions add in an order
        # that depends on the number of threads.
        lengths, seen = (x * x + y * y).sqrt(), rendering.visible
        for length, visible in zip(lengths, seen, strict=True):
            self.statistics["gradient"] += length
            self.statistics["views"] += visible

    def adapt(self, gaussians: Gaussians, step: int, generator: torch.Generator) -> Edit | None:
        if not self.start < step < self.stop:
            return None
        refines, resets = step % self.every == 0, step % self.reset_every == 0
        if not refines and not resets:
            return None
        ceiling = _logit(self.rule.reset_opacity) if resets else math.inf
        reset = None
        if resets:
            rows = torch.arange(len(gaussians), device=gaussians.device)
            reset = Reset(rows, {"opacity_logits": gaussians.opacity_logits.clamp(max=ceiling)})
        if not refines:
            return Edit(reset=reset)
        dead, clone, split = self._decide(gaussians, step)
        children = _split(gaussians.select(split), generator)
        children.opacity_logits.clamp_(max=ceiling)
        keep, clones = ~(dead | split), clone.nonzero()[:, 0]
        return Edit(reset=reset, keep=keep, clone=clones, new=children.parameters(), forget=True)

    def _decide(self, gaussians: Gaussians, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Which Gaussians are removed, cloned and split: [N] bool each, no Gaussian in two of them."""
        largest = gaussians.log_scales.amax(dim=1)
        dead = ~(gaussians.opacity_logits >= _logit(self.rule.prune_opacity))
        for tensor in gaussians.parameters().values():
            dead |= ~tensor.isfinite().flatten(1).all(dim=1) if tensor.dim() > 1 else ~tensor.isfinite()
        if step > self.reset_every:
            dead |= largest > math.log(self.rule.prune_scale * self.extent)
        gradient = self.statistics["gradient"] / self.statistics["views"].clamp(min=1)
        hot = (gradient >= self.rule.grow_gradient) & ~dead
        room = max(self.max_gaussians - int((~dead).count_nonzero()), 0)
        if int(hot.count_nonzero()) > room:
            ranked = torch.where(hot, gradient, -1.0).sort(descending=True, stable=True).indices
            hot = torch.zeros_like(hot)
            hot[ranked[:room]] = True
        large = largest > math.log(self.rule.split_scale * self.extent)
        return dead, hot & ~large, hot & large


def _split(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """Each parent as smaller copies at places drawn from its own distribution; the first copies of all come first."""
    copies = Gaussians.concat([parents] * SPLIT_COUNT)
    drawn = torch.randn(len(copies), 3, generator=generator).to(copies.means)
    offset = _rotate(copies.quats, drawn * copies.scales)
    copies.means = copies.means + offset
    copies.log_scales = copies.log_scales - math.log(SPLIT_SHRINK)
    return copies


def _rotate(quats: Tensor, vectors: Tensor) -> Tensor:
    """[M, 3] vectors turned by quaternions [M, 4], wxyz, of any length but zero."""
    squares = quats * quats
    length2 = (squares[:, 0] + squares[:, 1]) + (squares[:, 2] + squares[:, 3])
    axis = quats[:, 1:]
    twice = 2 * torch.linalg.cross(axis, vectors)
    return vectors + (quats[:, :1] * twice + torch.linalg.cross(axis, twice)) / length2.clamp(min=1e-24)[:, None]


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
