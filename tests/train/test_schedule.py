"""Values that change as a run goes on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from splat.errors import SplatError
from splat.train.config import OptimConfig, ResolutionConfig, TrainConfig, scaled
from splat.train.schedule import Schedule, ViewOrder


@pytest.mark.parametrize("iterations", [30_000, 7_000, 100])
def test_means_rate_falls_exponentially_from_first_to_last_step(iterations: int) -> None:
    schedule = Schedule(TrainConfig(iterations=iterations), extent=2.0)
    rates = [schedule.rates(step)["means"] for step in (0, iterations // 2, iterations)]
    assert rates == pytest.approx([2 * 1.6e-4, 2 * 1.6e-5, 2 * 1.6e-6])


def test_other_rates_are_those_of_the_settings() -> None:
    config = TrainConfig(optim=OptimConfig(lr_scales=0.25))
    rates = Schedule(config, extent=1.0).rates(123)
    assert rates["log_scales"] == 0.25
    assert rates["sh"] == 20 * rates["sh_rest"]


def test_step_counts_scale_with_the_run() -> None:
    assert scaled(500, 30_000) == 500
    assert scaled(500, 6_000) == 100
    assert scaled(100, 600, at_least=50) == 50
    assert scaled(100, 1) == 1


def test_sh_degree_rises_one_by_one_and_stays() -> None:
    schedule = Schedule(TrainConfig(iterations=30_000), extent=1.0)
    assert [schedule.sh_degree(step) for step in (0, 999, 1000, 2999, 3000, 29_999)] == [0, 0, 1, 2, 3, 3]
    short = Schedule(TrainConfig(iterations=3_000, sh_degree=1), extent=1.0)
    assert [short.sh_degree(step) for step in (0, 100, 2_999)] == [0, 1, 1]


def test_images_grow_to_full_size_and_stay() -> None:
    resolution = ResolutionConfig(coarsest=4, full_from=0.5, least_side=16)
    schedule = Schedule(TrainConfig(iterations=1000, resolution=resolution), extent=1.0)
    factors = [schedule.factor(step, shorter_side=480) for step in range(1000)]
    assert factors[0] == 4
    assert factors == sorted(factors, reverse=True)
    assert set(factors) == {4, 2, 1}
    assert factors.index(1) == 500


def test_small_images_are_not_reduced_beyond_reason() -> None:
    schedule = Schedule(TrainConfig(), extent=1.0)
    assert schedule.factor(0, shorter_side=100) == 1
    assert schedule.factor(0, shorter_side=200) == 2
    whole = dataclasses.replace(TrainConfig(), resolution=ResolutionConfig(coarsest=1))
    assert Schedule(whole, extent=1.0).factor(0, shorter_side=4000) == 1


def test_each_epoch_shows_every_view_once_in_an_order_of_its_own() -> None:
    views = list(range(3, 12))
    order = ViewOrder(views, torch.Generator().manual_seed(0))
    epochs = [[order.next() for _ in views] for _ in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [views] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    again = ViewOrder(views, torch.Generator().manual_seed(0))
    assert [again.next() for _ in views] == epochs[0]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("iterations", 0, "iterations must be at least 1, got 0"),
        ("max_gaussians", 0, "max_gaussians must be at least 1, got 0"),
        ("sh_degree", 5, "sh_degree must be 0 to 4, got 5"),
        (
            "background",
            (0.0, 2.0, 0.0),
            "background must be auto, black, white, random or three values in [0, 1], got (0.0, 2.0, 0.0)",
        ),
    ],
)
def test_impossible_settings_are_named(setting: str, value: object, message: str) -> None:
    with pytest.raises(SplatError) as error:
        dataclasses.replace(TrainConfig(), **{setting: value})
    assert str(error.value) == message


def test_settings_survive_json() -> None:
    import json

    config = TrainConfig(iterations=12, background=(0.1, 0.2, 0.3), optim=OptimConfig(lr_sh=0.5))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_settings_are_named() -> None:
    with pytest.raises(SplatError, match="OptimConfig has no setting 'lr_mean'"):
        TrainConfig.from_dict({"optim": {"lr_mean": 1.0}})
