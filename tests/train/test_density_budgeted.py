"""Budgeted growth: the curve says how many, the views' errors and edges say which, the longest axis says how."""

from __future__ import annotations

import pytest
import torch
from density_scenes import (
    CPU,
    HEIGHT,
    WIDTH,
    checkerboard,
    look_at_photo,
    looks_of,
    rendered,
    row_of_gaussians,
    settings,
    train_on,
)

from splat.datasets.scene import Scene
from splat.train.config import InitConfig, ResolutionConfig, TrainConfig
from splat.train.density.budgeted import Budgeted
from splat.train.density.children import halves
from splat.train.density.choice import draw_distinct
from splat.train.trainer import Trainer


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_curve_rises_to_the_cap_and_ever_more_slowly() -> None:
    strategy = Budgeted(settings(max_gaussians=10_000), 2.0, 1_000, CPU)
    steps = range(600, 15_000, 100)
    counts = [1_000, *(strategy.target(step) for step in steps)]
    growth = [after - before for before, after in zip(counts, counts[1:], strict=False)]
    assert counts[-1] == 10_000 and growth[0] > 100 > growth[-1] >= 0
    # A parabola: its second difference is constant, up to rounding down.
    assert all(abs((b - a) - (growth[1] - growth[0])) <= 3 for a, b in zip(growth, growth[1:], strict=False))


def test_what_is_wrong_in_the_image_is_split_within_the_curve() -> None:
    scene = row_of_gaussians([0.15, 0.15, 0.15], [0.9, 0.9, 0.9])
    photo = rendered(scene)
    left = slice(0, WIDTH // 3)
    photo[:, left] = photo[:, left] * checkerboard(3)[:, left]
    strategy = Budgeted(settings(max_gaussians=4), 2.0, 3, CPU)
    for _ in range(3):
        train_on(strategy, scene, photo)
    strategy.target = lambda step: 4  # type: ignore[method-assign]
    edit = strategy.adapt(scene, 600, generator(), looks_of(scene, photo))
    assert edit is not None and edit.keep is not None and edit.new is not None
    assert (~edit.keep).nonzero()[:, 0].tolist() == [0] or (~edit.keep).nonzero()[:, 0].tolist() == [2]
    wrong = look_at_photo(scene, photo).error()[0, HEIGHT // 2, : WIDTH // 3].max()
    assert wrong > 0.1 and len(edit.new["means"]) == 2


def test_nothing_grows_where_the_curve_leaves_no_room() -> None:
    scene = row_of_gaussians([0.2] * 3, [0.9] * 3)
    strategy = Budgeted(settings(max_gaussians=3), 2.0, 3, CPU)
    train_on(strategy, scene, checkerboard(4))
    edit = strategy.adapt(scene, 600, generator(), looks_of(scene, checkerboard(4)))
    assert edit is not None and edit.keep is not None and edit.keep.all()


def test_halves_lie_along_the_longest_axis() -> None:
    parent = row_of_gaussians([1.0], [0.5])
    parent.log_scales[0] = torch.tensor([0.1, 0.4, 0.2]).log()
    parent.quats[0] = torch.tensor([2**0.5, 0.0, 0.0, 2**0.5])  # A quarter turn about z takes y to -x.
    both = halves(parent)
    torch.testing.assert_close(
        both.means - parent.means, torch.tensor([[-0.54, 0, 0], [0.54, 0, 0]]), atol=1e-6, rtol=0
    )
    shrink = torch.tensor([0.8930286, 0.55, 0.8930286])
    torch.testing.assert_close(both.scales, (shrink * torch.tensor([0.1, 0.4, 0.2])).expand(2, 3))
    torch.testing.assert_close(both.opacities, torch.full((2,), 0.3))


def test_gathered_maps_are_sums_by_blending_weight() -> None:
    scene = row_of_gaussians([0.15, 0.3, 0.15], [0.9, 0.4, 0.7])
    photo = checkerboard(5)
    ones = torch.ones(1, HEIGHT, WIDTH)
    look = look_at_photo(scene, photo)
    weights, errors = look.gather(ones, look.error())
    # Weights of a pixel and what shines through add up to one.
    assert weights.sum().item() == pytest.approx(look.rendering.alpha.sum().item(), rel=1e-4)
    assert (errors <= weights).all() and (errors > 0).all()
    alone = look_at_photo(scene.select(torch.tensor([1])), photo)
    assert alone.gather(ones)[0].item() == pytest.approx(alone.rendering.alpha.sum().item(), rel=1e-4)


def test_a_trainers_looks_are_its_training_views_none_twice(scene: Scene) -> None:
    small = ResolutionConfig(coarsest=2, least_side=16)
    config = TrainConfig(30, max_gaussians=200, init=InitConfig(few_points=10), resolution=small)
    trainer = Trainer(scene, config)
    every, some = list(trainer._looks(100)), list(trainer._looks(3))
    assert len(every) == len(scene.train) and len(some) == 3
    assert len({look.image.numpy().tobytes() for look in every}) == len(every)
    # At the size that the step trains on, so that what is scored is what is learnt from.
    assert all(look.image.shape == look.rendering.rgb.shape for look in every)
    assert every[0].image.shape[2] < scene.views[0].camera.width


def test_masked_pixels_count_for_nothing() -> None:
    scene = row_of_gaussians([0.3], [0.9])
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    look = look_at_photo(scene, checkerboard(5), mask=mask)
    assert look.error().eq(0).all() and look.edges().eq(0).all()


def test_edges_are_where_the_photo_changes() -> None:
    photo = torch.zeros(HEIGHT, WIDTH, 3)
    photo[:, WIDTH // 2 :] = 1
    edges = look_at_photo(row_of_gaussians([0.1], [0.5]), photo).edges()[0]
    torch.testing.assert_close(edges[:, WIDTH // 2 - 1 : WIDTH // 2 + 1], torch.full((HEIGHT, 2), 3.0))
    edges[:, WIDTH // 2 - 1 : WIDTH // 2 + 1] = 0
    assert edges.abs().max() < 1e-5


def test_distinct_draws_follow_the_weights() -> None:
    weights = torch.tensor([0.0, 1.0, 3.0, 0.0])
    draws = torch.stack([draw_distinct(weights, 1, generator(seed)) for seed in range(2000)]).double().mean(0)
    torch.testing.assert_close(draws, torch.tensor([0, 0.25, 0.75, 0]).double(), atol=0.03, rtol=0)
    assert draw_distinct(weights, 3, generator()).tolist() == [False, True, True, False]
    assert not draw_distinct(weights, -1, generator()).any()
