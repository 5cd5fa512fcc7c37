"""Our own strategy: it grows as budgeted does, trembles as mcmc does, and hurries where there are few steps."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from density_scenes import CPU, row_of_gaussians, settings

from splat.datasets.scene import Scene
from splat.train.config import GAUSSIANS_PER_STEP, InitConfig, TrainConfig
from splat.train.density import make_strategy
from splat.train.density.splat import HASTE, Splat
from splat.train.trainer import Trainer


def test_a_short_run_has_higher_rates_and_one_of_30_000_steps_those_of_the_schedule() -> None:
    rates = {
        steps: Splat(dataclasses.replace(settings(), iterations=steps), 2.0, 3, CPU).rate_factors
        for steps in (1_000, 30_000, 60_000)
    }
    assert rates[1_000]["log_scales"] == pytest.approx(30**HASTE)
    assert set(rates[30_000].values()) == set(rates[60_000].values()) == {1.0}
    assert "means" not in rates[1_000] and "opacity_logits" not in rates[1_000]


def test_the_trainer_moves_by_the_strategys_rates(scene: Scene) -> None:
    config = TrainConfig(iterations=1, max_gaussians=100, strategy="splat", init=InitConfig(few_points=10))

    def moved(factor: float) -> tuple[float, float]:
        trainer = Trainer(scene, config)
        assert isinstance(trainer.strategy, Splat)
        trainer.strategy.rate_factors = {"log_scales": factor}
        before = {name: value.detach().clone() for name, value in trainer.representation.parameters.items()}
        trainer.run()
        after = {name: value.detach() for name, value in trainer.representation.parameters.items()}
        scales, logits = ((after[name] - before[name]).abs().max() for name in ("log_scales", "opacity_logits"))
        return float(scales), float(logits)

    (scales, logits), (hasty, same) = moved(1.0), moved(3.0)
    assert hasty == pytest.approx(3 * scales, rel=1e-3) and same == logits > 0


def test_what_hardly_shows_trembles_and_the_rest_stays() -> None:
    gaussians = row_of_gaussians([0.1, 0.1], [0.001, 0.9])
    nudge = Splat(settings(), 2.0, 2, CPU).nudge(gaussians, 1, 1e-4, torch.Generator().manual_seed(0))
    faint, opaque = nudge.offsets["means"].norm(dim=1).tolist()
    assert faint > 0.01 > 1e-6 > opaque and not nudge.gradients


@pytest.mark.parametrize(
    ("iterations", "start", "cap"), [(100, 30, 2_000), (100, 5_000, 5_000), (100_000, 30, 500_000)]
)
def test_where_no_cap_is_set_a_run_has_no_more_than_its_steps_can_settle(iterations: int, start: int, cap: int) -> None:
    assert GAUSSIANS_PER_STEP == 20
    assert make_strategy(TrainConfig(iterations), 2.0, start, CPU).max_gaussians == cap
    assert make_strategy(TrainConfig(iterations, max_gaussians=9_000), 2.0, start, CPU).max_gaussians == 9_000
