"""Backward of the projection and the optimiser's step in one pass, so that gradients of Gaussians are never stored.

C cameras, N Gaussians, K spherical-harmonic coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from splat import checks, native
from splat.ops.project import Projection

native.load()

#: The tensors of a Gaussian, in the order in which this op takes them, and their learning rates' names; "sh_rest" is
#: that of all rows of sh [N, K, 3] but the first.
PARAMETERS = ("means", "quats", "log_scales", "opacity_logits", "sh")
RATES = (*PARAMETERS, "sh_rest")


def project_adam(
    gaussians: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    last_steps: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    projection: Projection,
    cotangents: Projection,
    sh_degree: int,
    camera_model: int,
    near: float,
    far: float,
    eps2d: float,
    compensate: bool,
    unscented: bool = False,
    filters: Tensor | None = None,
    lenses: Tensor | None = None,
    rates: Sequence[float],
    step: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
) -> None:
    """Adam, in place, on Gaussians that `project` projected, by the gradients of a loss in what it returned.

    The SH coefficients of a Gaussian that no camera sees are left as they are, with their moments: they are most of
    it. When it is seen again, the steps without a gradient that they missed are made up for at once, before its own:
    moments decay as if they had been taken, and the coefficients move by their sum at the rate of now. Coefficients
    above `sh_degree` are left as they are.

    Args:
        gaussians: `PARAMETERS`, as given to `project`; contiguous. Where sh is bfloat16, it and its moments are
            computed in float32 and rounded up or down at random, by a hash of the step and the Gaussian's index:
            rounded to the nearest, small steps would never move them.
        exp_avgs, exp_avg_sqs: the moments of each, of its shape and dtype, zero at first; contiguous.
        last_steps: [N] int32 number of the step that last moved a Gaussian's coefficients, 0 at first; contiguous.
        viewmats ... lenses: as given to `project`.
        projection: what it returned.
        cotangents: gradients of the loss in that, of the same shapes; extents are not looked at.
        rates: learning rates, one each of `RATES`.
        step: number of this step, the first being 1.
        beta1, beta2: decay of the moments, in (0, 1), with beta1^2 < beta2.
        eps: added to the root of the second moment; small, since the gradients of a mean over pixels are small.

    Raises:
        ValueError, TypeError: shapes, dtypes or devices disagree; step < 1; beta1^2 >= beta2.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1. Differs: steps of SH
        without a gradient are made later. Rounding: Gupta et al., "Deep learning with limited numerical precision",
        2015, section 3.
    """
    for name, tensors in (("gaussians", gaussians), ("exp_avgs", exp_avgs), ("exp_avg_sqs", exp_avg_sqs)):
        if len(tensors) != len(PARAMETERS):
            raise ValueError(f"{name} must be {', '.join(PARAMETERS)}, got {len(tensors)} tensors")
        checks.gaussians(*tensors)
        checks.shape(f"{name}[4]", tensors[4], tuple(gaussians[4].shape))
    if len(rates) != len(RATES):
        raise ValueError(f"rates must be those of {', '.join(RATES)}, got {len(rates)}")
    if not 0 < beta1 * beta1 < beta2 < 1:
        raise ValueError(f"betas must be in (0, 1) with beta1^2 < beta2, got {beta1} and {beta2}")
    checks.positive(step=step)
    means = gaussians[0]
    checks.float32(means=means)
    checks.shape("last_steps", last_steps, (len(means),))
    checks.same_device("means", means, last_steps=last_steps, viewmats=viewmats, Ks=Ks, extents=projection.extents)
    native.check_device("means", means)
    if filters is not None:
        checks.shape("filters", filters, (len(means),))
        checks.same_kind("means", means, filters=filters)
    if lenses is not None:
        checks.shape("lenses", lenses, (len(viewmats), 9))
        checks.same_kind("means", means, lenses=lenses)
    with torch.no_grad():
        torch.ops.splat.project_adam.default(
            gaussians, exp_avgs, exp_avg_sqs, last_steps, viewmats, Ks, filters, lenses, width, height, sh_degree,
            camera_model, near, far, eps2d, compensate, unscented, projection.extents, projection.colours,
            cotangents.means2d, cotangents.depths, cotangents.conics, cotangents.opacities, cotangents.colours, rates,
            step, beta1, beta2, eps,
        )  # fmt: skip
    # The kernel writes to memory that autograd does not watch.
    torch.autograd.graph.increment_version([*gaussians, *exp_avgs, *exp_avg_sqs, last_steps])
    native.validate("project_adam", **dict(zip(PARAMETERS, gaussians, strict=True)))


def _fake(*arguments: Any) -> None:
    return None


torch.library.register_fake("splat::project_adam", _fake)
