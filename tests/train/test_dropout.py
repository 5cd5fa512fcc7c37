"""Dropout: a share of the Gaussians is left out of an image, the others cover for them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.train.dropout import MOST, MOST_OPACITY, share_left_out, thin_out
from splat.train.frame import Frame

COUNT = 2_000


def frame(opacity: float) -> Frame:
    """Gaussians anywhere in front of one camera."""
    generator = torch.Generator().manual_seed(1)
    means = torch.rand(COUNT, 3, generator=generator) * torch.tensor([2.0, 2.0, 1.0]) + torch.tensor([-1.0, -1.0, 3.0])
    gaussians = Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(COUNT, 1),
        log_scales=torch.full((COUNT, 3), -3.0),
        opacity_logits=torch.full((COUNT,), opacity).logit(),
        sh=torch.rand(COUNT, 1, 3, generator=generator),
    )
    camera = Cameras(torch.eye(4)[None], torch.tensor([[[60.0, 0, 24], [0, 60, 24], [0, 0, 1]]]), 48, 48)
    return Frame(gaussians, camera, sh_degree=0, antialias="classic")


def draw(left_out: float, opacity: float = 0.2, seed: int = 0) -> tuple[Frame, Tensor, Tensor]:
    """A frame, its opacities after a draw, and which Gaussians remain."""
    seen = frame(opacity)
    thinned = thin_out(seen.projection, left_out, torch.Generator().manual_seed(seed))
    return seen, thinned.opacities[0], thinned.extents[0, :, 0] > 0


def test_as_many_are_left_out_as_asked_for_and_others_at_each_draw() -> None:
    _, _, first = draw(0.3, seed=0)
    _, _, second = draw(0.3, seed=1)
    assert 1 - first.float().mean() == pytest.approx(0.3, abs=0.04)
    assert (first != second).float().mean() == pytest.approx(2 * 0.3 * 0.7, abs=0.05)


def test_the_others_cover_for_them_and_never_hide_all_behind_them() -> None:
    _, faint, stays = draw(0.3, opacity=0.2)
    assert torch.allclose(faint[stays], torch.tensor(0.2 / 0.7)) and not faint[~stays].any()
    _, opaque, stays = draw(0.3, opacity=0.9)
    assert (opaque[stays] == MOST_OPACITY).all()


def test_the_image_is_the_same_in_the_mean() -> None:
    seen = frame(0.3)
    whole = seen.render().rgb
    generator = torch.Generator().manual_seed(0)
    images = [seen.render(thin_out(seen.projection, 0.3, generator)).rgb for _ in range(100)]
    mean = torch.stack(images).mean(dim=0)
    assert (mean - whole).abs().mean() < 0.02 * whole.mean() < (images[0] - whole).abs().mean()


def test_gradients_reach_those_that_remain_and_no_others() -> None:
    seen, _, stays = draw(0.3)
    seen.render(thin_out(seen.projection, 0.3, torch.Generator().manual_seed(0))).rgb.sum().backward()
    moved = seen.cotangents().colours[0].abs().sum(dim=1) > 0
    assert moved.any() and not moved[~stays].any()


def test_nothing_is_left_out_at_the_start_and_the_less_the_more_photos_there_are() -> None:
    projection = frame(0.2).projection
    assert thin_out(projection, share_left_out(5.0, photos=10, done=0.0), torch.Generator()) is projection
    assert share_left_out(5.0, photos=3, done=1.0) == MOST
    assert share_left_out(5.0, photos=50, done=0.5) == pytest.approx(0.05)
    assert share_left_out(0.0, photos=3, done=1.0) == 0.0
