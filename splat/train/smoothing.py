"""Mip-Splatting's smoothing filter: no Gaussian is thinner than what the training photos resolve.

Source:
    Yu et al., "Mip-Splatting: Alias-free 3D Gaussian Splatting", 2024, section 4.1. Differs: a camera's sampling
    interval at a Gaussian is its depth over this camera's focal length, not over the largest of all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from splat.cameras import Cameras, pixels
from splat.gaussians import Gaussians
from splat.train.density.protocol import Edit, Reset

#: Variance of the filter on the photo that resolves a Gaussian best, px^2.
VARIANCE = 0.2
#: A camera counts for what it shows, and for this share of its image's sides beyond each border.
MARGIN = 0.15
#: Least depth of a Gaussian that a camera shows, world units, as in `render`.
NEAR = 0.01


class Smoothing:
    """The filters of a run's Gaussians. They are found when they are first asked for and kept until `forget`.

    Args:
        cameras: the training views, of their full size, one each.
        device: where the Gaussians are.

    Attributes:
        found: [N] the filters' standard deviations, world units; None until they are asked for. Part of a run's state.
    """

    def __init__(self, cameras: Sequence[Cameras], device: torch.device) -> None:
        self.cameras = [camera.to(device) for camera in cameras]
        self.found: Tensor | None = None

    def forget(self) -> None:
        """To be called when Gaussians have come, gone or moved far."""
        self.found = None

    @torch.no_grad()
    def filters(self, means: Tensor) -> Tensor:
        """[N] the filters of Gaussians centred at `means` [N, 3]. One that no photo shows gets the largest of all."""
        if self.found is None:
            interval = torch.full_like(means[:, 0], math.inf)
            for camera in self.cameras:
                interval = torch.minimum(interval, _sampling_interval(camera, means))
            shown = interval.isfinite()
            most = torch.where(shown, interval, 0.0).amax()
            self.found = math.sqrt(VARIANCE) * torch.where(shown, interval, most)
        return self.found

    def smoothed(self, gaussians: Gaussians) -> Gaussians:
        """The scene as it is rendered: a filter's variance more along every axis, and opacities that keep the mass."""
        log_filters = self.filters(gaussians.means).log()[:, None]
        log_scales = 0.5 * torch.logaddexp(2 * gaussians.log_scales, 2 * log_filters)
        log_opacities = torch.nn.functional.logsigmoid(gaussians.opacity_logits)
        log_opacities = log_opacities + _sum(gaussians.log_scales - log_scales)
        log_opacities = log_opacities.clamp(max=-1e-7)  # whose logit is finite
        logits = log_opacities - torch.log(-torch.expm1(log_opacities))
        return dataclasses.replace(gaussians, log_scales=log_scales, opacity_logits=logits)

    def lift(self, edit: Edit, gaussians: Gaussians) -> Edit:
        """An edit whose reset of all opacities lowers them as they are rendered: lowered behind the filter, thin
        Gaussians would vanish, and never come back. What is reset where Gaussians were cloned stays as it is."""
        reset = edit.reset
        if reset is None or set(reset.values) != {"opacity_logits"} or len(reset.rows) < len(gaussians):
            return edit
        before, smoothed = gaussians.select(reset.rows), self.smoothed(gaussians).select(reset.rows)
        kept = _sum(before.log_scales - smoothed.log_scales).exp()
        lifted = (reset.values["opacity_logits"].sigmoid() / kept).logit()  # beyond 1: NaN
        logits = torch.where(lifted < before.opacity_logits, lifted, before.opacity_logits)
        return dataclasses.replace(edit, reset=Reset(reset.rows, {"opacity_logits": logits}))


def _sum(vectors: Tensor) -> Tensor:
    """[N] of the three numbers of each of [N, 3]."""
    x, y, z = vectors.unbind(dim=1)
    return x + y + z


def _sampling_interval(camera: Cameras, means: Tensor) -> Tensor:
    """[N] the distance in the world that one pixel spans at each centre; infinite where the camera does not show it."""
    # Written out, like all sums in training: those of torch depend on the number of threads.
    K, centres = camera.Ks[0], means.unbind(dim=1)
    x, y, z = (a * centres[0] + b * centres[1] + c * centres[2] + t for a, b, c, t in camera.viewmats[0, :3])
    u, v = pixels(camera, torch.stack([x, y, z], dim=1)).unbind(dim=1)
    margin_x, margin_y = MARGIN * camera.width, MARGIN * camera.height
    shown = (z > NEAR) & (u >= -margin_x) & (u <= camera.width + margin_x)
    shown &= (v >= -margin_y) & (v <= camera.height + margin_y)
    return torch.where(shown, z / torch.maximum(K[0, 0], K[1, 1]), math.inf)
