"""The optimiser's step, for all parameter tensors at once and in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from splat import checks, native

native.load()


def adam(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    *,
    rates: Sequence[float | Sequence[float]],
    step: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
) -> None:
    """Adam, in place, on a list of tensors; the two moments start at zero.

    Moments too small to matter (below 1e-30, and 1e-36 for squares) become exactly zero.

    Args:
        params: contiguous float32 tensors of any shape.
        grads, exp_avgs, exp_avg_sqs: the gradient and the two moments of each, of its shape; the moments contiguous.
        rates: one entry a tensor: its learning rate, or a list of rates that repeats along its elements, e.g. one rate
            per column of a matrix.
        step: number of this step, the first being 1.
        beta1, beta2: decay of the moments, in [0, 1).
        eps: added to the root of the second moment; small, since the gradients of a mean over pixels are small.

    Raises:
        ValueError, TypeError: numbers of tensors, shapes, dtypes or devices disagree; a list of rates doesn't divide
            its tensor; step < 1.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
    """
    for name, tensors in (("grads", grads), ("exp_avgs", exp_avgs), ("exp_avg_sqs", exp_avg_sqs), ("rates", rates)):
        if len(tensors) != len(params):
            raise ValueError(f"{name} must hold one entry for each of the {len(params)} params, got {len(tensors)}")
    checks.positive(step=step)
    flat_rates: list[float] = []
    periods: list[int] = []
    for index, (param, rate) in enumerate(zip(params, rates, strict=True)):
        for name, tensors in (("grads", grads), ("exp_avgs", exp_avgs), ("exp_avg_sqs", exp_avg_sqs)):
            checks.shape(f"{name}[{index}]", tensors[index], tuple(param.shape))
            checks.float32(**{f"{name}[{index}]": tensors[index]})
            checks.same_device("params[0]", params[0], **{f"{name}[{index}]": tensors[index]})
        checks.float32(**{f"params[{index}]": param})
        checks.same_device("params[0]", params[0], **{f"params[{index}]": param})
        native.check_device(f"params[{index}]", param)
        rate = [rate] if isinstance(rate, (int, float)) else rate
        if len(rate) == 0 or param.numel() % len(rate):
            raise ValueError(f"rates[{index}] must divide the {param.numel()} elements of its tensor, got {len(rate)}")
        flat_rates.extend(rate)
        periods.append(len(rate))
    with torch.no_grad():
        torch.ops.splat.adam.default(params, grads, exp_avgs, exp_avg_sqs, flat_rates, periods, step, beta1, beta2, eps)
    # The kernel writes to memory that autograd does not watch.
    torch.autograd.graph.increment_version([*params, *exp_avgs, *exp_avg_sqs])
    for param in params:
        native.validate("adam", param=param)


def _fake(params, grads, exp_avgs, exp_avg_sqs, rates, periods, step, beta1, beta2, eps) -> None:
    return None


torch.library.register_fake("splat::adam", _fake)
