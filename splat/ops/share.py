"""What Gaussians become when several take the place of one."""

from __future__ import annotations

import torch
from torch import Tensor

from splat import checks, native

native.load()


def share(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity and size of copies that lie where one Gaussian lay, so that the image stays nearly the same.

    Args:
        opacities: [M] of the one, in (0, 1]; more than 1 - 2^-24 counts as so much.
        copies: [M] int64, how many there are then, at least 1; takes time in proportion.

    Returns:
        [M] opacities and [M] factors of the scales of each copy, float32. Not differentiable.

    Raises:
        ValueError, TypeError: shapes, dtypes or devices disagree.

    Source:
        Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024. Differs: the double sum over
        binomials is a single one (the hockey-stick identity).
    """
    sizes: dict[str, int] = {}
    checks.shape("opacities", opacities, ("M",), sizes)
    checks.shape("copies", copies, ("M",), sizes)
    checks.float32(opacities=opacities)
    if copies.dtype != torch.int64:
        raise TypeError(f"copies must be torch.int64, got {copies.dtype}")
    checks.same_device("opacities", opacities, copies=copies)
    native.check_device("opacities", opacities)
    with torch.no_grad():
        shared, shrinks = torch.ops.splat.share.default(opacities, copies)
    native.validate("share", opacities=shared, shrinks=shrinks)
    return shared, shrinks


def _fake(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(opacities), torch.empty_like(opacities)


torch.library.register_fake("splat::share", _fake)
