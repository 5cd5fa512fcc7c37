"""Which Gaussians to leave out so that least is seen of it."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.export.importance import Importance, weigh
from splat.export.progress import Progress
from splat.export.views import Views
from splat.gaussians import Gaussians

#: Share of the Gaussians that stay in a round: what lay behind others shows once they are gone, and is weighed anew.
ROUND = 0.7


def ranking(
    gaussians: Gaussians, importance: Importance, views: Views, least: int, progress: Progress | None = None
) -> Tensor:
    """[N] indices of all Gaussians, those first that make up most of the pictures; and of those that no view shows,
    the most opaque.

    Args:
        importance: of the scene as it is.
        least: how many may be left; what the others hide of them is seen to.
    """
    order, left = _order(gaussians, importance), len(gaussians)
    while left > least:
        left = max(least, int(ROUND * left))
        stays = gaussians.select(order[:left])
        order = torch.cat([order[:left][_order(stays, weigh(stays, views, progress))], order[left:]])
    return order


def _order(gaussians: Gaussians, importance: Importance) -> Tensor:
    return (importance.total.double() + 1e-30 * gaussians.opacities.double()).argsort(descending=True, stable=True)
