"""A pull of all Gaussians towards transparent and small, by whatever strategy: what no photo asks for fades.

Source:
    Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024, section 3.4; `mcmc` has it built in.
"""

from __future__ import annotations

from splat.gaussians import Gaussians
from splat.train.config import OptimConfig
from splat.train.density.protocol import Nudge


def pull(gaussians: Gaussians, config: OptimConfig) -> Nudge | None:
    """The gradients of `opacity_weight` times the mean opacity and `scale_weight` times the mean scale, world units;
    None if both weights are zero."""
    count, gradients = len(gaussians), {}
    if config.opacity_weight:
        opacities = gaussians.opacities
        gradients["opacity_logits"] = config.opacity_weight / count * opacities * (1 - opacities)
    if config.scale_weight:
        gradients["log_scales"] = config.scale_weight / (3 * count) * gaussians.scales
    return Nudge({}, gradients) if gradients else None
