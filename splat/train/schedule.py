"""What changes as a run goes on, as pure functions of the step: rates, SH degree, image size, which view comes next."""

from __future__ import annotations

import torch

from splat.train.config import TrainConfig, scaled


class Schedule:
    """The values of one run at each step; step 0 is the first.

    Args:
        extent: of the cameras, world units; the centres' learning rate is a multiple of it.
    """

    def __init__(self, config: TrainConfig, extent: float) -> None:
        self.config = config
        self.extent = extent

    def rates(self, step: int) -> dict[str, float]:
        """Learning rates by parameter name; "sh_rest" is that of all coefficients of `sh` but the first."""
        optim = self.config.optim
        done = min(step / self.config.iterations, 1.0)
        return {
            "means": self.extent * optim.lr_means ** (1 - done) * optim.lr_means_final**done,
            "quats": optim.lr_quats,
            "log_scales": optim.lr_scales,
            "opacity_logits": optim.lr_opacity,
            "sh": optim.lr_sh,
            "sh_rest": optim.lr_sh_rest,
        }

    def sh_degree(self, step: int) -> int:
        return min(self.config.sh_degree, step // scaled(self.config.optim.sh_every, self.config.iterations))

    def factor(self, step: int, shorter_side: int) -> int:
        """By how much both sides of an image are divided: halved at even intervals until `full_from`, then 1."""
        resolution = self.config.resolution
        stages = max(resolution.coarsest.bit_length() - 1, 0)
        until = resolution.full_from * self.config.iterations
        stage = stages if step >= until else int(stages * step / until)
        factor = 2 ** (stages - stage)
        while factor > 1 and shorter_side // factor < resolution.least_side:
            factor //= 2
        return factor


class ViewOrder:
    """Every training view once an epoch, each epoch in a new random order.

    Attributes:
        pending: views left of the current epoch; part of a run's state.
    """

    def __init__(self, views: list[int], generator: torch.Generator) -> None:
        self.views = views
        self.generator = generator
        self.pending: list[int] = []

    def next(self) -> int:
        if not self.pending:
            order = torch.randperm(len(self.views), generator=self.generator)
            self.pending = [self.views[i] for i in order.tolist()]
        return self.pending.pop()
