"""What stays of a scene, and how little of it is missed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from splat.export.colours import with_sh_degree
from splat.export.filter import for_classic
from splat.export.importance import weigh
from splat.export.reduce import ranking
from splat.export.verify import compare, mean
from splat.export.views import Views, of_file, shrunk, some
from splat.gaussians import Gaussians
from splat.render import render


def psnr(original: Gaussians, copy: Gaussians, views: Views) -> float:
    value = mean(compare(original, copy, views), "psnr")
    assert value is not None
    return value


def test_the_shares_of_all_gaussians_are_what_is_not_background(shiny: Gaussians, views: Views) -> None:
    importance = weigh(shiny, views)
    assert importance.seen.shape == (8, 60) and importance.positions.shape == (8, 3)
    for row, view in zip(importance.seen, views.trained, strict=True):
        assert float(row.float().sum()) == pytest.approx(float(render(shiny, view.camera).alpha.mean()), rel=5e-3)
    assert torch.allclose(importance.total, importance.seen.float().mean(0), atol=1e-7)


def test_what_nobody_sees_goes_first(shiny: Gaussians, views: Views) -> None:
    buried = dataclasses.replace(shiny.select(torch.arange(5)), log_scales=torch.full((5, 3), -9.0))
    buried = dataclasses.replace(buried, means=torch.full((5, 3), 50.0))
    scene = Gaussians.concat([buried, shiny])
    order = ranking(scene, weigh(scene, views), views, 65)
    assert sorted(order[60:].tolist()) == list(range(5))


def test_of_what_no_view_shows_the_opaque_stay(views: Views, shiny: Gaussians) -> None:
    hidden = dataclasses.replace(
        shiny, means=shiny.means + torch.tensor([0.0, 100.0, 0.0]), opacity_logits=torch.linspace(-3, 3, 60)
    )
    assert ranking(hidden, weigh(hidden, views), views, 60).tolist() == list(range(59, -1, -1))


def test_a_fitted_cut_shows_more_of_the_colours_than_a_plain_one(shiny: Gaussians, views: Views) -> None:
    importance, seen = weigh(shiny, views), dataclasses.replace(views, judged=views.trained)
    for degree in (1, 0):
        fitted, plain = (with_sh_degree(shiny, degree, weights) for weights in (importance, None))
        assert fitted.sh_degree == plain.sh_degree == degree
        assert torch.equal(plain.sh, shiny.sh[:, : (degree + 1) ** 2])
        assert psnr(shiny, fitted, seen) > psnr(shiny, plain, seen) + 0.5
    assert with_sh_degree(shiny, 3, importance) is shiny


def test_of_one_view_the_colours_stay(shiny: Gaussians, views: Views) -> None:
    one = dataclasses.replace(views, judged=views.trained[:1], trained=views.trained[:1])
    assert psnr(shiny, with_sh_degree(shiny, 0, weigh(shiny, one)), one) > 45


def test_the_first_ones_show_most(shiny: Gaussians, views: Views) -> None:
    order = ranking(shiny, weigh(shiny, views), views, 20)
    assert sorted(order.tolist()) == list(range(60))
    scores = [psnr(shiny, shiny.select(order[:count]), views) for count in (20, 40, 60)]
    assert scores[0] < scores[1] < scores[2]
    assert scores[1] > psnr(shiny, shiny.select(torch.arange(40)), views) + 1, "chosen, not taken as they come"


@pytest.mark.parametrize("antialias", ["antialiased", "mip"])
def test_a_scene_for_the_classic_filter_shows_what_the_other_did(
    antialias: str, shiny: Gaussians, views: Views
) -> None:
    thin = dataclasses.replace(shiny, log_scales=shiny.log_scales - 1.5, antialias=antialias)
    classic = dataclasses.replace(thin, antialias="classic")
    made = for_classic(thin, weigh(thin, views), views)
    assert made.antialias == "classic" and bool((made.opacities < classic.opacities).all())
    assert psnr(thin, made, views) > psnr(thin, classic, views) + 3


def test_a_file_without_cameras_is_seen_from_around_and_above(shiny: Gaussians) -> None:
    views = of_file(shiny)
    assert len(views.judged) == 12 and not views.has_cameras and views.photos is None
    heights = {round(float(view.camera.positions[0, 1]), 3) for view in views.trained}
    assert len(heights) == 3 and min(heights) < 0 < max(heights), "-y is up"
    few = dataclasses.replace(views, trained=views.trained[::4])
    assert float(weigh(shiny, few).total.min()) > 0


def test_views_are_chosen_evenly_and_shrunk_in_proportion(views: Views) -> None:
    assert [view.name for view in some(views.trained, 4)] == [views.trained[i].name for i in (0, 2, 4, 6)]
    assert some(views.trained, 8) is views.trained
    small = shrunk(views.trained[0], 200)
    assert (small.camera.width, small.camera.height) == (16, 12)
    assert shrunk(small, 200) is small
