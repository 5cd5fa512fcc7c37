"""The space-filling order."""

from __future__ import annotations

import torch

from splat.morton import morton_order


def test_corners_of_a_cube_come_in_the_order_of_their_interleaved_bits():
    corners = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
    assert corners[morton_order(corners)].tolist() == [
        [x, y, z] for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)
    ]


def test_a_cell_is_left_only_when_all_its_points_have_come():
    points = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0))
    points = torch.cat([points, torch.zeros(1, 3), torch.ones(1, 3)])
    cells = ((points[morton_order(points)].double() * (2**21 - 1)).long() >> 19) @ torch.tensor([1, 4, 16])
    assert (cells[1:] != cells[:-1]).sum() == 63


def test_what_is_equal_or_not_finite_is_ordered_all_the_same():
    points = torch.tensor([[1.0, 1.0, 1.0], [torch.nan, 0, 0], [0, 0, 0], [0, torch.inf, 0], [0.0, 0, 0]])
    assert morton_order(points).tolist() == [1, 2, 3, 4, 0]
    assert morton_order(points[2:3].expand(3, 3)).tolist() == [0, 1, 2]
    assert morton_order(points[:0]).tolist() == []
    assert morton_order(torch.full((2, 3), torch.nan)).tolist() == [0, 1]
