"""Strategies that decide where Gaussians are added and removed; see `protocol`."""

from __future__ import annotations

import dataclasses

import torch

from splat.train.config import GAUSSIANS_PER_STEP, TrainConfig
from splat.train.density.absgrad import AbsGrad
from splat.train.density.adc import Adc
from splat.train.density.budgeted import Budgeted
from splat.train.density.mcmc import Mcmc
from splat.train.density.protocol import Strategy
from splat.train.density.revising import Revising
from splat.train.density.splat import Splat

STRATEGIES = {
    "splat": Splat,
    "adc": Adc,
    "absgrad": AbsGrad,
    "mcmc": Mcmc,
    "budgeted": Budgeted,
    "revising": Revising,
}


def make_strategy(config: TrainConfig, extent: float, count: int, device: torch.device) -> Strategy:
    """The strategy that a run's settings name, for `count` Gaussians at the start."""
    if config.max_gaussians == TrainConfig.max_gaussians:
        settled = max(count, GAUSSIANS_PER_STEP * config.iterations)
        config = dataclasses.replace(config, max_gaussians=min(settled, config.max_gaussians))
    return STRATEGIES[config.strategy](config, extent, count, device)
