"""Depth that the capture knows: of its reconstructed points and, where there are any, of depth maps.

Few photos leave the depth of plain surfaces open. The loss is the mean absolute difference of disparities (inverse
depths, which weigh near and far as the photos do): at each point that a photo shows, and at every pixel of its depth
map. It counts most at the start and fades, so that the photos have the last word.

Source:
    gsplat's depth loss, for the points; Kerbl et al., "A hierarchical 3D Gaussian representation", 2024, for maps that
    are aligned to the points and for the weight's decay. Differs: each map is fitted by least absolute differences; it
    is the depth that is blended, not the disparity.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from splat.render import Rendering
from splat.train.corrections.depth_maps import aligned_maps
from splat.train.corrections.protocol import Correction
from splat.train.corrections.sightings import Sightings, sightings

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Of the loss at the first step, in world units, in which cameras are about 1 away from what they look at; and the
#: share of it that is left at the last.
WEIGHT, LAST_SHARE = 1.0, 0.01
#: Pixels that less than this covers have no depth worth speaking of.
LEAST_ALPHA = 0.5
#: Nearest depth that is told apart, world units.
NEAREST = 0.01


class Depth(Correction):
    """Holds renderings to known depths.

    Args:
        maps: folder of depth maps, see `aligned_maps`; None for the points alone.
        iterations: steps of the run.
    """

    name = "depth"
    depth = True

    def __init__(self, scene: Scene, maps: Path | None, iterations: int, device: torch.device) -> None:
        self.iterations = iterations
        seen = sightings(scene)
        found = {} if maps is None else aligned_maps(scene, maps, seen)
        self.points = {view: Sightings(*(x.to(device) for x in points)) for view, points in seen.items()}
        self.maps = {view: disparities.to(device) for view, disparities in found.items()}

    def loss(self, view: int, step: int, rendering: Rendering, mask: Tensor | None) -> Tensor | None:
        depth = rendering.expected_depth
        assert depth is not None
        covered = rendering.alpha[0] > LEAST_ALPHA
        if mask is not None:
            covered = covered & (mask[0] > 0)
        disparity = 1 / depth[0].clamp(min=NEAREST)
        parts = []
        if view in self.points:
            seen = self.points[view]
            height, width = disparity.shape
            column, row = (seen.places * seen.places.new_tensor([width, height])).long().unbind(1)
            parts.append(_mean_error(disparity[row, column], seen.disparities, covered[row, column]))
        if view in self.maps:
            known = interpolate(self.maps[view][None, None], disparity.shape, mode="nearest-exact")[0, 0]
            parts.append(_mean_error(disparity, known, covered & (known > 0)))
        if not parts:
            return None
        return WEIGHT * LAST_SHARE ** (step / self.iterations) * sum(parts[1:], parts[0])


def _mean_error(found: Tensor, known: Tensor, counts: Tensor) -> Tensor:
    """[] mean absolute difference where it counts, 0 where it counts nowhere."""
    error = torch.where(counts, (found - known).abs(), 0)
    return error.sum() / counts.sum().clamp(min=1)
