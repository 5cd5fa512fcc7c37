"""A scene of fewer Gaussians and fewer SH bands, made so that least is seen of it."""

from __future__ import annotations

import math

from splat.export.colours import with_sh_degree
from splat.export.importance import Importance, most_important, weigh
from splat.export.progress import Progress
from splat.export.views import Views
from splat.gaussians import Gaussians


def reduced(
    gaussians: Gaussians,
    importance: Importance,
    views: Views,
    *,
    count: int,
    sh_degree: int,
    progress: Progress | None = None,
) -> tuple[Gaussians, Importance]:
    """Leaves out the least important Gaussians, then the highest bands.

    Args:
        importance: of the scene as it is.
        count: how many Gaussians stay, at most.
        sh_degree: the highest that stays.

    Returns:
        The scene, and what matters in it.
    """
    if count < len(gaussians):
        # What lay behind others shows once they are gone, so half of the way is gone first, and then weighed anew.
        for left in (math.isqrt(count * len(gaussians)), count):
            stays = most_important(gaussians, importance, max(left, count))
            gaussians = gaussians.select(stays)
            importance = weigh(gaussians, views, progress)
    return with_sh_degree(gaussians, sh_degree, importance), importance
