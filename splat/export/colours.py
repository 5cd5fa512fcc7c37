"""Fewer SH bands that show nearly the same colours."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from splat.export.importance import Importance
from splat.gaussians import Gaussians, sh_basis

#: Gaussians that are fitted at a time: their normal equations are what needs memory.
BLOCK = 1 << 16
#: Pull towards the coefficients there were, in basis functions squared: keeps one seen from few sides what it is.
RIDGE = 0.001


def with_sh_degree(gaussians: Gaussians, degree: int, importance: Importance | None) -> Gaussians:
    """The scene with a lower SH degree: the bands that stay take over what they can of those that go, so that the
    colours towards the views, weighted by how much each view shows of a Gaussian, change least (least squares).

    Args:
        importance: of these Gaussians; None: the bands are cut and the others stay what they are.
    """
    if degree >= gaussians.sh_degree:
        return gaussians
    cut = gaussians.with_sh_degree(degree)
    if importance is None:
        return cut
    parts = [
        cut.sh[rows] + _correction(gaussians, importance, degree, rows)
        for start in range(0, len(gaussians), BLOCK)
        for rows in (slice(start, start + BLOCK),)
    ]
    return dataclasses.replace(cut, sh=torch.cat(parts) if parts else cut.sh)


def _correction(gaussians: Gaussians, importance: Importance, degree: int, rows: slice) -> Tensor:
    """[B, K, 3] to be added to the coefficients that stay."""
    kept = (degree + 1) ** 2
    sh, means = gaussians.sh[rows].float(), gaussians.means[rows]
    seen = importance.seen[:, rows].float()
    seen = seen / seen.sum(0).clamp(min=1e-20)
    normal = torch.eye(kept, device=sh.device).mul(RIDGE).repeat(len(sh), 1, 1)
    right = torch.zeros(len(sh), kept, 3, device=sh.device)
    for weight, position in zip(seen, importance.positions, strict=True):
        basis = sh_basis(torch.nn.functional.normalize(means - position, dim=-1), gaussians.sh_degree)
        low = basis[:, :kept]
        gone = (basis[:, kept:, None] * sh[:, kept:]).sum(1)
        normal += (weight[:, None] * low)[:, :, None] * low[:, None]
        right += (weight[:, None] * low)[:, :, None] * gone[:, None]
    return torch.linalg.solve(normal, right)
