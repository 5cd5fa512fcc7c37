"""The place in the scene under a pixel."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.render import render

#: Below this opacity a pixel shows the background, not the scene.
LEAST_ALPHA = 0.5
#: Pixels across the part of the image that is drawn for a place.
WINDOW = 16


@torch.no_grad()
def pick(gaussians: Gaussians, camera: Cameras, x: float, y: float, *, antialias: str, near: float) -> Tensor | None:
    """[3] where the ray through a pixel meets the scene: at the median depth of what covers it; world units, float64,
    on the CPU. None where nothing much does.

    Args:
        camera: a pinhole, a batch of one, on any device.
        x, y: from the left and the top, as shares of the image.
        antialias, near: as for `render`.
    """
    column = min(max(int(x * camera.width), 0), camera.width - 1)
    row = min(max(int(y * camera.height), 0), camera.height - 1)
    Ks = camera.Ks.clone()
    Ks[0, :2, 2] -= torch.tensor([column - WINDOW // 2, row - WINDOW // 2]).to(Ks)
    window = replace(camera, Ks=Ks, width=WINDOW, height=WINDOW).to(gaussians.device)
    rendering = render(gaussians, window, antialias=antialias, near=near, depth=True)
    assert rendering.median_depth is not None
    if rendering.alpha[0, WINDOW // 2, WINDOW // 2] < LEAST_ALPHA:
        return None
    depth = float(rendering.median_depth[0, WINDOW // 2, WINDOW // 2])
    K, viewmat = camera.Ks[0].double().cpu(), camera.viewmats[0].double().cpu()
    pixel = torch.tensor([x * camera.width, y * camera.height, 1.0], dtype=torch.float64)
    seen = depth * torch.linalg.solve(K, pixel)
    return viewmat[:3, :3].T @ (seen - viewmat[:3, 3])
