"""Which Gaussians: those that are worth nothing, the strongest that there is room for, and lots drawn by weight.

Lots are drawn on the CPU, from a run's own generator, so that a run is the same wherever it is interrupted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.gaussians import Gaussians


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def dead(gaussians: Gaussians, least_opacity: float) -> Tensor:
    """[N] bool: those less opaque than this, and those with a number that is none."""
    found = ~(gaussians.opacity_logits >= logit(least_opacity))
    for tensor in gaussians.parameters().values():
        found |= ~tensor.isfinite().flatten(1).all(dim=1) if tensor.dim() > 1 else ~tensor.isfinite()
    return found


def strongest(strength: Tensor, candidates: Tensor, room: int) -> Tensor:
    """[N] bool: the candidates [N], or the `room` of them with the largest strength [N]; among equals the first."""
    if int(candidates.count_nonzero()) <= room:
        return candidates
    ranked = torch.where(candidates, strength, -math.inf).sort(descending=True, stable=True).indices
    chosen = torch.zeros_like(candidates)
    chosen[ranked[: max(room, 0)]] = True
    return chosen


def draw(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[count] indices, drawn with probabilities proportional to weights [N]; one may be drawn several times."""
    cumulative = weights.double().cumsum(0)
    uniform = torch.rand(count, dtype=torch.float64, generator=generator).to(weights.device)
    # Rounding may carry a draw past the last weight above zero, never past this.
    last = int(weights.nonzero()[-1, 0])
    return torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=last)


def draw_distinct(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[N] bool: `count` that are drawn one after another with probabilities proportional to weights [N] of what is
    left; all of positive weight where they are no more.

    Source:
        Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: the smallest of exponential times.
    """
    uniform = torch.rand(len(weights), dtype=torch.float64, generator=generator).to(weights.device)
    times = -(1 - uniform).log() / weights.double()
    return strongest(-times, weights > 0, count)
