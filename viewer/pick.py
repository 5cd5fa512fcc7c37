"""The place in the scene under a pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.render import render

#: Below this opacity a pixel shows the background, not the scene.
LEAST_ALPHA = 0.5


@torch.no_grad()
def pick(gaussians: Gaussians, camera: Cameras, x: float, y: float, *, antialias: str, near: float) -> Tensor | None:
    """[3] where the ray through a pixel meets the scene: at the median depth of what covers it; world units, float64,
    on the CPU. None where nothing much does.

    Args:
        camera: a pinhole, a batch of one, on any device.
        x, y: from the left and the top, as shares of the image.
        antialias, near: as for `render`.
    """
    camera = camera.to(gaussians.device)
    rendering = render(gaussians, camera, antialias=antialias, near=near, depth=True)
    assert rendering.median_depth is not None
    column = min(max(int(x * camera.width), 0), camera.width - 1)
    row = min(max(int(y * camera.height), 0), camera.height - 1)
    if rendering.alpha[0, row, column] < LEAST_ALPHA:
        return None
    depth = float(rendering.median_depth[0, row, column])
    K, viewmat = camera.Ks[0].double().cpu(), camera.viewmats[0].double().cpu()
    pixel = torch.tensor([x * camera.width, y * camera.height, 1.0], dtype=torch.float64)
    seen = depth * torch.linalg.solve(K, pixel)
    return viewmat[:3, :3].T @ (seen - viewmat[:3, 3])
