"""One Adam step in plain torch: the readable truth of ops/adam.py."""

from __future__ import annotations

import math

from torch import Tensor


def adam(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    rate: float | Tensor,
    step: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
) -> tuple[Tensor, Tensor, Tensor]:
    """The parameter and its two moments after step number `step` (the first is 1); shapes as given.

    rate is a number, or a tensor that broadcasts against param.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
    """
    exp_avg = beta1 * exp_avg + (1 - beta1) * grad
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * grad * grad
    denominator = exp_avg_sq.sqrt() / math.sqrt(1 - beta2**step) + eps
    return param - rate / (1 - beta1**step) * exp_avg / denominator, exp_avg, exp_avg_sq


def catch_up(
    param: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    skipped: int,
    rate: float | Tensor,
    step: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
) -> tuple[Tensor, Tensor, Tensor]:
    """The parameter and its moments before step number `step`, when the `skipped` steps before it had no gradient and
    were left out. The quotient of the moments shrinks by beta1 / sqrt(beta2) each time: a geometric series, taken at
    the rate and the corrections of `step`."""
    ratio = beta1 / math.sqrt(beta2)
    motion = ratio * (1 - ratio**skipped) / (1 - ratio)
    denominator = exp_avg_sq.sqrt() / math.sqrt(1 - beta2**step) + eps
    param = param - rate / (1 - beta1**step) * motion * exp_avg / denominator
    return param, beta1**skipped * exp_avg, beta2**skipped * exp_avg_sq
