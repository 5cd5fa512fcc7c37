"""Noise on the centres in plain torch: the readable truth of ops/tremor.py, its normal numbers apart.

Source: Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024, eq. 9; Box and Muller, "A note on
the generation of random normal deviates", 1958.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.reference.project import rotation_matrices
from splat.reference.random import row_random, unit_interval


def normals(seed: int, count: int) -> Tensor:
    """[count, 3] standard normal numbers, float64, of each Gaussian's index."""
    first, angle, second, other_angle = unit_interval(row_random(seed, 4 * count)).reshape(count, 4).unbind(1)
    radius, other_radius = (-2 * first.log()).sqrt(), (-2 * second.log()).sqrt()
    turn, other_turn = (2 * math.pi * (u - 0.5) for u in (angle, other_angle))
    return torch.stack([radius * turn.cos(), radius * turn.sin(), other_radius * other_turn.cos()], dim=1)


def tremor(
    quats: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    normals: Tensor,
    *,
    strength: float,
    least_opacity: float,
    steepness: float,
) -> Tensor:
    """[N, 3] offsets of the centres from standard normal numbers [N, 3]: R diag(s^2) R^T n times the strength."""
    R = rotation_matrices(quats)
    covariances = R @ torch.diag_embed((2 * log_scales).exp()) @ R.transpose(1, 2)
    strengths = strength * torch.sigmoid(steepness * (least_opacity - opacity_logits.sigmoid()))
    return strengths[:, None] * (covariances @ normals[..., None])[..., 0]
