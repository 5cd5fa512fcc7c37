"""How much each Gaussian matters where people look from, measured in one backward pass a view.

A pixel's colour is the sum of blending weight times colour, so where every pixel pulls alike the gradient in a colour
is the sum of that Gaussian's weights: the share of the pictures that it makes up. Beside sums of squares, what the
image would lose with it alone, and opacities, this chose best what to leave out: many that each hide little are missed
together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splat.export.progress import Progress
from splat.export.views import Views, shrunk, some
from splat.gaussians import Gaussians
from splat.train.frame import Frame

#: Views, evenly chosen, and pixels of each at most: what matters shows in small pictures, too.
VIEWS, PIXELS = 32, 200_000


@dataclass(frozen=True)
class Importance:
    """How much each of N Gaussians matters in V views.

    Attributes:
        total: [N] share of a picture that it makes up, on average.
        seen: [V, N] bfloat16, the same view by view.
        positions: [V, 3] of the views' cameras.
    """

    total: Tensor
    seen: Tensor
    positions: Tensor

    def select(self, index: Tensor) -> Importance:
        """That of the Gaussians that an index tensor or a mask picks."""
        return Importance(self.total[index], self.seen[:, index], self.positions)


def weigh(gaussians: Gaussians, views: Views, progress: Progress | None = None) -> Importance:
    """Renders the scene from some of the views that it was trained from.

    Args:
        gaussians: the scene, on the device where it is to be rendered.
    """
    chosen = [shrunk(view, PIXELS) for view in some(views.trained, VIEWS)]
    total = torch.zeros(len(gaussians), device=gaussians.device)
    seen = torch.zeros(len(chosen), len(gaussians), dtype=torch.bfloat16, device=gaussians.device)
    for row, view in enumerate((progress or Progress()).track(chosen, "weigh", len(chosen))):
        camera = view.camera.to(gaussians.device)
        frame = Frame(gaussians, camera, sh_degree=0, antialias=gaussians.antialias)
        rgb = frame.render().rgb
        rgb.backward(torch.ones_like(rgb))
        weights = frame.projection.colours.grad
        assert weights is not None
        seen[row] = weights[0, :, 0] / (camera.width * camera.height)
        total += seen[row] / len(chosen)
    return Importance(total, seen, torch.cat([view.camera.positions for view in chosen]).to(gaussians.device))
