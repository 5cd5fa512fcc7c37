"""Structural similarity and the photometric loss in plain torch: the readable truth of ops/ssim.py, ops/photometric.py.

C cameras, H x W pixels, 3 colour channels; any floating dtype.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: The window is WINDOW x WINDOW pixels, a separable Gaussian of standard deviation SIGMA px that sums to one.
WINDOW, SIGMA = 11, 1.5
#: Stabilisers of the two quotients for colours in [0, 1].
C1, C2 = 0.01**2, 0.03**2


def window(dtype: torch.dtype) -> Tensor:
    """[WINDOW] one-dimensional weights; the two-dimensional window is their outer product."""
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = (-0.5 * (offsets / SIGMA) ** 2).exp()
    return (weights / weights.sum()).to(dtype)


def blur(image: Tensor) -> Tensor:
    """Convolves [C, H, W, D] with the window; outside the image is zero."""
    weights = window(image.dtype).to(image.device)
    kernel = torch.outer(weights, weights).expand(image.shape[-1], 1, WINDOW, WINDOW)
    planes = F.conv2d(image.permute(0, 3, 1, 2), kernel, padding=WINDOW // 2, groups=image.shape[-1])
    return planes.permute(0, 2, 3, 1)


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """SSIM at every pixel and channel of two batches [C, H, W, 3] with colours in [0, 1].

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, eq. 13.
        Differs: zero padding, so that the map is as large as the image (as 3DGS does).
    """
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return luminance * structure


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """[C] mean of the SSIM map of each pair of images."""
    return ssim_map(a, b).mean(dim=(1, 2, 3))


def photometric_loss(rendered: Tensor, target: Tensor, mask: Tensor | None = None, ssim_weight: float = 0.2) -> Tensor:
    """(1 - w) mean |rendered - target| + w (1 - mean SSIM) over a batch [C, H, W, 3].

    target is uint8 (0 to 255) or floating point (0 to 1). Where mask [C, H, W] is zero both images count as black for
    SSIM, and the pixel is left out of the L1 mean, which is zero if no pixel is left.
    """
    if target.dtype == torch.uint8:
        target = target.to(rendered.dtype) / 255
    if mask is None:
        l1 = (rendered - target).abs().mean()
    else:
        keep = (mask != 0)[..., None].to(rendered.dtype)
        rendered, target = rendered * keep, target * keep
        l1 = (rendered - target).abs().sum() / (3 * keep.sum()).clamp(min=1)
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim_map(rendered, target).mean())
