"""Noise that keeps Gaussians from settling where they do not show."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.ops.tremor import tremor

#: Opacity up to which a Gaussian counts as dead, and so is free to move.
LEAST_OPACITY = 0.005
#: The noise, in learning rates of the centres, and how steeply it ends at LEAST_OPACITY.
STRENGTH, STEEPNESS = 5e5, 100.0


def tremble(gaussians: Gaussians, rate: float, generator: torch.Generator) -> Tensor:
    """[N, 3] what is added to the centres: noise of each Gaussian's own shape, strong where it hardly shows.

    Args:
        rate: at which the optimiser moves the centres.
        generator: of the run; on the CPU, wherever the Gaussians are.

    Source:
        Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024, eq. 9.
    """
    return tremor(
        gaussians.quats,
        gaussians.log_scales,
        gaussians.opacity_logits,
        strength=STRENGTH * rate,
        least_opacity=LEAST_OPACITY,
        steepness=STEEPNESS,
        seed=int(torch.randint(2**32, (), generator=generator)),
    )
