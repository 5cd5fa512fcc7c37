"""The place under a pixel."""

from __future__ import annotations

import pytest
import torch

from splat.cameras import Cameras, intrinsics, look_at
from splat.gaussians import Gaussians
from splat.viewer.pick import pick

PLACE = torch.tensor([0.3, -0.2, 0.5])


def ball(opacity: float) -> Gaussians:
    return Gaussians(
        means=PLACE[None],
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.full((1, 3), -3.0),
        opacity_logits=torch.tensor([opacity]).logit(),
        sh=torch.zeros(1, 1, 3),
    )


def camera() -> Cameras:
    viewmat = look_at(torch.tensor([[2.0, -1.0, -2.0]]), torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(viewmat, intrinsics(120, 90, 0.8)[None], 120, 90)


def where() -> tuple[float, float]:
    seen = camera().viewmats[0] @ torch.cat([PLACE, torch.ones(1)])
    x, y, z = (camera().Ks[0] @ seen[:3]).tolist()
    return x / z / 120, y / z / 90


def test_the_middle_of_a_gaussian_is_where_it_is() -> None:
    x, y = where()
    found = pick(ball(0.99), camera(), x, y, antialias="classic", near=0.01)
    assert found is not None and found.tolist() == pytest.approx(PLACE.tolist(), abs=1e-4)


def test_nothing_is_found_beside_it_nor_where_it_hardly_shows() -> None:
    x, y = where()
    assert pick(ball(0.99), camera(), x + 0.3, y, antialias="classic", near=0.01) is None
    assert pick(ball(0.4), camera(), x, y, antialias="classic", near=0.01) is None
