"""Opacity and size of a Gaussian's copies in plain torch: the readable truth of ops/share.py.

Source: Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def share(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """[M] opacities and [M] factors of the scales of each of so many copies [M] of Gaussians [M].

    As published, a double sum over copies i and k < i. To be called with float64: its terms alternate.
    """
    opacities = opacities.clamp(max=1 - 2**-24)
    new = 1 - (1 - opacities) ** (1 / copies)
    area = torch.zeros_like(new)
    for i in range(1, int(copies.max()) + 1):
        for k in range(i):
            term = math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1)
            area += torch.where(i <= copies, term, 0)
    return new, opacities / area
