"""Noise on the centres of Gaussians, strong where they hardly show."""

from __future__ import annotations

import torch
from torch import Tensor

from splat import checks, native

native.load()


def tremor(
    quats: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    *,
    strength: float,
    least_opacity: float,
    steepness: float,
    seed: int,
) -> Tensor:
    """Normal noise of standard deviation s Sigma, with each Gaussian's covariance Sigma and s = strength
    sigmoid(steepness (least_opacity - opacity)). Where the sigmoid is below e^-32 there is none.

    The numbers come from the seed and the Gaussian's index alone: the same on every device but for rounding, the same
    bits for any number of threads.

    Args:
        quats: [N, 4] rotations, wxyz, of any length.
        log_scales: [N, 3] logarithms of standard deviations, world units.
        opacity_logits: [N]; no noise where one is no number.
        strength: per world unit.
        steepness: > 0.
        seed: of this step, in [0, 2^32).

    Returns:
        [N, 3] float32, to be added to the centres, world units. Not differentiable.

    Raises:
        ValueError, TypeError: shapes, dtypes or devices disagree; steepness <= 0; a seed that is none.

    Source:
        Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024, eq. 9.
    """
    sizes: dict[str, int] = {}
    checks.shape("quats", quats, ("N", 4), sizes)
    checks.shape("log_scales", log_scales, ("N", 3), sizes)
    checks.shape("opacity_logits", opacity_logits, ("N",), sizes)
    checks.float32(quats=quats)
    checks.same_kind("quats", quats, log_scales=log_scales, opacity_logits=opacity_logits)
    checks.positive(steepness=steepness)
    native.check_device("quats", quats)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be in [0, 2^32), got {seed}")
    with torch.no_grad():
        offsets = torch.ops.splat.tremor.default(
            quats, log_scales, opacity_logits, strength, least_opacity, steepness, seed
        )
    native.validate("tremor", offsets=offsets)
    return offsets


def _fake(
    quats: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    strength: float,
    least_opacity: float,
    steepness: float,
    seed: int,
) -> Tensor:
    return torch.empty_like(log_scales, memory_format=torch.contiguous_format)


torch.library.register_fake("splat::tremor", _fake)
