"""SSIM as a metric, from the kernels of the training loss."""

from __future__ import annotations

import torch
from torch import Tensor

from splat import checks, native

native.load()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity of each of C pairs of images; 1 for equal ones.

    Not differentiable: for training see `ops.photometric`.

    Args:
        a: [C, H, W, 3] float32, colours in [0, 1].
        b: [C, H, W, 3] float32 in [0, 1], or uint8 in [0, 255].

    Returns:
        [C] float32.

    Raises:
        ValueError, TypeError: a shape, dtype or device disagrees; no pixels.

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004; Gaussian window
        of 11 x 11 pixels, zero padding and the mean over all pixels and channels as papers on 3DGS report it.
    """
    sizes: dict[str, int] = {}
    checks.shape("a", a, ("C", "H", "W", 3), sizes)
    checks.shape("b", b, ("C", "H", "W", 3), sizes)
    checks.float32(a=a)
    native.check_device("a", a)
    checks.same_device("a", a, b=b)
    if b.dtype != torch.uint8:
        checks.same_kind("a", a, b=b)
    checks.positive(**sizes)
    result = torch.ops.splat.ssim.default(a.detach(), b.detach())
    native.validate("ssim", result=result)
    return result


def _fake(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0])


torch.library.register_fake("splat::ssim", _fake)
