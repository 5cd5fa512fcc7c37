"""A pull of all Gaussians towards transparent and small: what no photo asks for fades.

Source:
    Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024, section 3.4.
"""

from __future__ import annotations

from torch import Tensor

from splat.gaussians import Gaussians


def pull(gaussians: Gaussians, opacity_weight: float, scale_weight: float) -> dict[str, Tensor]:
    """Gradients of the one weight times the mean opacity and of the other times the mean scale (world units), by
    parameters [N, ...], by name; those of a weight of zero are left out."""
    count, gradients = len(gaussians), {}
    if opacity_weight:
        opacities = gaussians.opacities
        gradients["opacity_logits"] = opacity_weight / count * opacities * (1 - opacities)
    if scale_weight:
        gradients["log_scales"] = scale_weight / (3 * count) * gaussians.scales
    return gradients
