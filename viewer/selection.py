"""Which Gaussians to select: by what they are like, or by where they are in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.render import render

#: How many neighbours decide how lonely a Gaussian is: as many as a small floater has.
NEIGHBOURS = 16
#: A Gaussian shows where its centre is not farther behind what covers the pixel than this share of the depth.
BEHIND = 0.01


@dataclass(frozen=True)
class Limits:
    """What floaters are like; what meets all limits that are set is selected.

    Attributes:
        opacity: they are fainter than this; 0 is no limit.
        largest: they are among this share of the scene, by their longest axis; 0 is no limit.
        loneliest: they are among this share, by `isolation`; 0 is no limit.
    """

    opacity: float = 0.0
    largest: float = 0.0
    loneliest: float = 0.0

    def rows(self, gaussians: Gaussians, isolation: Tensor | None) -> Tensor:
        """[N] bool.

        Args:
            isolation: [N]; where it is needed and not known, nothing is selected.
        """
        rows = torch.full((len(gaussians),), self != Limits(), device=gaussians.device)
        if self.opacity:
            rows &= gaussians.opacities < self.opacity
        if self.largest:
            rows &= _top(gaussians.log_scales.amax(1), self.largest)
        if self.loneliest:
            rows &= torch.zeros_like(rows) if isolation is None else _top(isolation.to(rows.device), self.loneliest)
        return rows


def isolation(means: Tensor) -> Tensor:
    """[N] distance to the sixteenth neighbour of centres [N, 3], as a share of that to the scene's middle, so that a
    background is not lonely by being far away."""
    from scipy.spatial import KDTree

    points = means.double().cpu().numpy()
    if len(points) < 2:  # noqa: PLR2004
        return torch.zeros(len(points))
    nearest = KDTree(points).query(points, k=min(NEIGHBOURS + 1, len(points)))[0][:, -1]
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return torch.from_numpy(nearest / np.maximum(distance, np.median(distance))).float()


@torch.no_grad()
def in_rectangle(
    gaussians: Gaussians,
    camera: Cameras,
    low: tuple[float, float],
    high: tuple[float, float],
    *,
    through: bool,
    antialias: str,
    near: float,
) -> Tensor:
    """[N] bool: those whose centres are in a part of the picture, and show there.

    Args:
        camera: a pinhole, a batch of one.
        low, high: x and y of the upper left and the lower right corner, as shares of the image.
        through: whether what is hidden behind others is selected as well.
        antialias, near: as for `render`.
    """
    rendering = render(gaussians, camera.to(gaussians.device), antialias=antialias, near=near, depth=True)
    assert rendering.median_depth is not None
    size = torch.tensor([camera.width, camera.height]).to(rendering.means2d)
    places = rendering.means2d[0]
    shares = places / size
    rows = rendering.visible[0] & ((shares >= shares.new_tensor(low)) & (shares <= shares.new_tensor(high))).all(1)
    if through:
        return rows
    column, row = places.nan_to_num(0.0).clamp(min=0).minimum(size - 1).long().unbind(1)
    cover = rendering.median_depth[0, row, column]
    front = rendering.depths[0] - gaussians.scales.amax(1)
    return rows & ((cover == 0) | (front <= (1 + BEHIND) * cover))


def _top(values: Tensor, share: float) -> Tensor:
    """[N] bool: the largest share of values [N]."""
    rows = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    rows[values.topk(round(share * len(values))).indices] = True
    return rows
