"""Real spherical harmonics up to degree 4, in plain torch.

M directions, K = (degree + 1)^2 functions. Function l^2 + l + m has degree l and order m, with Condon-Shortley signs.
Source: Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013; the order and signs are those of 3D Gaussian
Splatting.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """The basis functions at unit directions.

    Args:
        directions: [M, 3] of unit length.
        degree: 0 to 4.

    Returns:
        [M, K].
    """
    x, y, z = directions.unbind(-1)
    # (x + i y)^m.
    cos2, sin2 = x * x - y * y, 2 * x * y
    cos3, sin3 = x * cos2 - y * sin2, x * sin2 + y * cos2
    cos4, sin4 = x * cos3 - y * sin3, x * sin3 + y * cos3
    values = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        values += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        values += [
            0.5462742152960396 * sin2,
            -1.0925484305920792 * y * z,
            0.9461746957575601 * z * z - 0.31539156525252005,
            -1.0925484305920792 * x * z,
            0.5462742152960396 * cos2,
        ]
    if degree >= 3:
        first = -2.285228997322329 * z * z + 0.4570457994644658
        values += [
            -0.5900435899266435 * sin3,
            1.445305721320277 * z * sin2,
            first * y,
            z * (1.865881662950577 * z * z - 1.119528997770346),
            first * x,
            1.445305721320277 * z * cos2,
            -0.5900435899266435 * cos3,
        ]
    if degree >= 4:
        first = z * (-4.683325804901025 * z * z + 2.007139630671868)
        second = 3.31161143515146 * z * z - 0.47308734787878
        values += [
            0.6258357354491763 * sin4,
            -1.770130769779931 * z * sin3,
            second * sin2,
            first * y,
            3.7024941420321507 * z**4 - 3.1735664074561294 * z * z + 0.31735664074561293,
            first * x,
            second * cos2,
            -1.770130769779931 * z * cos3,
            0.6258357354491763 * cos4,
        ]
    return torch.stack(values, dim=-1)


def sh_colours(sh: Tensor, directions: Tensor, degree: int) -> Tensor:
    """Colours of M Gaussians seen along M directions, not yet clamped at 0.

    Args:
        sh: [M, K, 3] coefficients; those of higher degrees are ignored.
        directions: [M, 3] from the camera to the Gaussian, world axes, unit length.

    Returns:
        [M, 3] = 0.5 + sum_k Y_k(direction) sh_k.
    """
    basis = sh_basis(directions, degree)
    return 0.5 + torch.einsum("mk,mkc->mc", basis, sh[:, : basis.shape[1]])
