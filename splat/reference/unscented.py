"""The unscented transform of Gaussians through lenses that bend, in plain torch, by its definition: weighted sums.

P pairs of a camera and a Gaussian. The kernels compute the same by differences, which float32 needs.
Source: Wu et al., "3DGUT", 2025, section 3.2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.reference import constants

DIMENSIONS = 3
ALPHA, BETA, KAPPA = 0.1, 2.0, 0.0
LAMBDA = ALPHA**2 * (DIMENSIONS + KAPPA) - DIMENSIONS
#: Of the centre and of each of the six others, for the mean and for the covariance.
MEAN_WEIGHTS = [LAMBDA / (DIMENSIONS + LAMBDA), *[0.5 / (DIMENSIONS + LAMBDA)] * 6]
COVARIANCE_WEIGHTS = [MEAN_WEIGHTS[0] + 1 - ALPHA**2 + BETA, *MEAN_WEIGHTS[1:]]


def unscented(
    point: Tensor, axes: Tensor, K: Tensor, lens: Tensor, model: str, width: int, height: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A Gaussian's mean and covariance on the image.

    Args:
        point: [P, 3] centres in camera space.
        axes: [P, 3, 3] whose columns are the axes in camera space, of the length of the standard deviations.
        K: [P, 3, 3].
        lens: [P, 9] of `splat.lens.lenses`.
        model: "pinhole" or "fisheye".

    Returns:
        [P, 2] px; [P, 2, 2] px^2; [P] bool: all points are in the lens' field and one is not far off the image.
    """
    offsets = math.sqrt(DIMENSIONS + LAMBDA) * axes.transpose(1, 2)
    points = torch.cat([point[:, None], point[:, None] + offsets, point[:, None] - offsets], dim=1)
    slopes = points[..., :2] / points[..., 2:]
    bent = (_fisheye if model == "fisheye" else _pinhole)(slopes, lens[:, None])
    pixels = bent * torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=-1)[:, None] + K[:, None, :2, 2]
    mean = (pixels * pixels.new_tensor(MEAN_WEIGHTS)[:, None]).sum(1)
    away = pixels - mean[:, None]
    weighted = away * pixels.new_tensor(COVARIANCE_WEIGHTS)[:, None]
    covariance = (away[..., :, None] * weighted[..., None, :]).sum(1)
    in_field = (points[..., 2] > 0) & (slopes.square().sum(-1) < lens[:, 8:])
    size = pixels.new_tensor([width, height])
    near = ((pixels > -constants.CLAMP_MARGIN * size) & (pixels < (1 + constants.CLAMP_MARGIN) * size)).all(-1)
    return mean, covariance, in_field.all(1) & near.any(1)


def _pinhole(slopes: Tensor, lens: Tensor) -> Tensor:
    u, v = slopes.unbind(-1)
    k1, k2, p1, p2, k3, k4, k5, k6 = lens[..., :8].unbind(-1)
    w = u * u + v * v
    radial = (1 + k1 * w + k2 * w**2 + k3 * w**3) / (1 + k4 * w + k5 * w**2 + k6 * w**3)
    return torch.stack(
        [
            u * radial + 2 * p1 * u * v + p2 * (w + 2 * u * u),
            v * radial + p1 * (w + 2 * v * v) + 2 * p2 * u * v,
        ],
        dim=-1,
    )


def _fisheye(slopes: Tensor, lens: Tensor) -> Tensor:
    k1, k2, k3, k4 = (lens[..., i, None] for i in range(4))
    w = slopes.square().sum(-1, keepdim=True)
    on_axis = w < 1e-12
    slope = torch.where(on_axis, 1.0, w).sqrt()
    ratio = torch.where(on_axis, 1 - w / 3, torch.atan(slope) / slope)
    s = w * ratio.square()
    return slopes * ratio * (1 + k1 * s + k2 * s**2 + k3 * s**3 + k4 * s**4)
