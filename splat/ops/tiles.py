"""Which Gaussians touch which tile of the image, in depth order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from splat import checks, native

native.load()

#: Side of a tile, px.
TILE = 16


class TileLists(NamedTuple):
    """C cameras, N Gaussians each, TY x TX tiles an image, I instances (Gaussian-tile pairs).

    Attributes:
        offsets: [C * TY * TX + 1] int64; the instances of tile t are offsets[t] to offsets[t + 1].
        gaussian_ids: [I] int32 in [0, C * N); within a tile by depth, equal depths by id.
        slots: [I] int32, the place of each instance when they are ordered by Gaussian, so that sums over a Gaussian's
            instances have a fixed order.
        gaussian_offsets: [C * N + 1] int64, the first slot of each Gaussian.
        needed: [1] int64, the instances that there would be without a bound.

    With a bound on a GPU, I is the bound; of gaussian_ids and slots the first offsets[-1] are used, and the others are
    Gaussians and places that exist.
    """

    offsets: Tensor
    gaussian_ids: Tensor
    slots: Tensor
    gaussian_offsets: Tensor
    needed: Tensor


def tiles(
    means2d: Tensor,
    conics: Tensor,
    depths: Tensor,
    opacities: Tensor,
    extents: Tensor,
    width: int,
    height: int,
    *,
    bound: int | None = None,
) -> TileLists:
    """Lists the Gaussians of each tile: those that reach alpha 1/255 between its outermost pixel centres.

    The lists are exact: the image is the same as with every Gaussian in every list. Not differentiable. On a GPU this
    waits for how many instances there are, unless there is a bound.

    Args:
        means2d: [C, N, 2] px.
        conics: [C, N, 3] upper triangle of the inverse 2D covariances, 1/px^2.
        depths: [C, N] distance along the optical axis, world units.
        opacities: [C, N].
        extents: [C, N, 2] half-sizes of the box around what is visible, px; Gaussians with 0 are left out.
        width, height: image size, px.
        bound: how many instances there may be; where there are more, Gaussians are left out whole, from the first one
            (by index, over all cameras) that does not fit.

    Raises:
        ValueError, TypeError: a shape, dtype or device disagrees.
        RuntimeError: 2^31 or more instances, or a bound that is not in [0, 2^31).

    Source:
        Radl et al., "StopThePop", 2024 (exact test); sorting as in Schuetz et al., "Splatshop", 2025: once by depth,
        then stably by tile.
    """
    sizes: dict[str, int] = {}
    checks.shape("means2d", means2d, ("C", "N", 2), sizes)
    checks.shape("conics", conics, ("C", "N", 3), sizes)
    checks.shape("depths", depths, ("C", "N"), sizes)
    checks.shape("opacities", opacities, ("C", "N"), sizes)
    checks.shape("extents", extents, ("C", "N", 2), sizes)
    checks.float32(means2d=means2d)
    native.check_device("means2d", means2d)
    checks.same_kind("means2d", means2d, conics=conics, depths=depths, opacities=opacities, extents=extents)
    checks.positive(width=width, height=height)
    with torch.no_grad():
        return TileLists(
            *torch.ops.splat.tiles.default(means2d, conics, depths, opacities, extents, width, height, bound)
        )


def _fake(
    means2d: Tensor,
    conics: Tensor,
    depths: Tensor,
    opacities: Tensor,
    extents: Tensor,
    width: int,
    height: int,
    bound: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    cameras, gaussians, _ = means2d.shape
    instances = torch.library.get_ctx().new_dynamic_size()
    tile_count = cameras * -(-width // TILE) * -(-height // TILE)
    return (
        means2d.new_empty(tile_count + 1, dtype=torch.int64),
        means2d.new_empty(instances, dtype=torch.int32),
        means2d.new_empty(instances, dtype=torch.int32),
        means2d.new_empty(cameras * gaussians + 1, dtype=torch.int64),
        means2d.new_empty(1, dtype=torch.int64),
    )


torch.library.register_fake("splat::tiles", _fake)
