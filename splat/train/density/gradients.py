"""How strongly the image pulls at each Gaussian's centre, as the gradient rules measure it."""

from __future__ import annotations

from torch import Tensor

from splat.render import Rendering


def lengths(gradient: Tensor, rendering: Rendering) -> Tensor:
    """[C, N] lengths of d loss / d centre [C, N, 2], px^-1, in units of half the image; zero where one is culled.

    Written out: torch's own reductions add in an order that depends on the number of threads.
    """
    height, width = rendering.rgb.shape[1:3]
    x, y = gradient[..., 0] * (0.5 * width), gradient[..., 1] * (0.5 * height)
    return (x * x + y * y).sqrt()


def mean_over_views(total: Tensor, views: Tensor) -> Tensor:
    """[N] of a sum over the views that saw a Gaussian; zero where none did."""
    return total / views.clamp(min=1)
