"""Tile lists in plain torch: two sets between which every exact list lies."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.reference.blend import alphas
from splat.reference.constants import TILE


def necessary(means2d: Tensor, conics: Tensor, opacities: Tensor, width: int, height: int) -> Tensor:
    """[C, TY, TX, N] bool: Gaussians that cover a pixel of the tile; a list without one of them is wrong."""
    cameras, count = opacities.shape
    tiles_x, tiles_y = -(-width // TILE), -(-height // TILE)
    covered = alphas(means2d, conics, opacities, width, height).reshape(cameras, count, height, width) > 0
    padded = covered.new_zeros(cameras, count, tiles_y * TILE, tiles_x * TILE)
    padded[:, :, :height, :width] = covered
    return padded.reshape(cameras, count, tiles_y, TILE, tiles_x, TILE).any(5).any(3).permute(0, 2, 3, 1)


def least_sigmas(means2d: Tensor, conics: Tensor, width: int, height: int) -> Tensor:
    """[C, TY, TX, N] the least sigma over the rectangle of each tile's pixel centres, from its inside and four edges.

    A list that holds a Gaussian where this is above ln(255 opacity) is longer than it need be.
    """
    tiles_x, tiles_y = -(-width // TILE), -(-height // TILE)
    left = torch.arange(tiles_x, dtype=means2d.dtype)[None, None, :, None] * TILE + 0.5
    top = torch.arange(tiles_y, dtype=means2d.dtype)[None, :, None, None] * TILE + 0.5
    x, y = means2d[:, None, None].unbind(-1)
    a, b, c = conics[:, None, None].unbind(-1)
    west, east, north, south = torch.broadcast_tensors(left - x, left + TILE - 1 - x, top - y, top + TILE - 1 - y)

    def sigma(u: Tensor, v: Tensor) -> Tensor:
        return 0.5 * (a * u * u + c * v * v) + b * u * v

    # Along an edge sigma is a parabola; its minimum, moved to the edge's nearer end where it lies outside.
    on_edges = [sigma(u, torch.minimum(torch.maximum(-b * u / c, north), south)) for u in (west, east)]
    on_edges += [sigma(torch.minimum(torch.maximum(-b * v / a, west), east), v) for v in (north, south)]
    is_inside = (west <= 0) & (east >= 0) & (north <= 0) & (south >= 0)
    return torch.where(is_inside, 0, torch.stack(on_edges).amin(0))
