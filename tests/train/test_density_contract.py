"""What every strategy owes a run: the cap at every step, the same result when resumed, tables that stay in step."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from splat.datasets.scene import Scene
from splat.train.config import DensityConfig, InitConfig, TrainConfig
from splat.train.density import STRATEGIES
from splat.train.listeners import Listener, StepReport
from splat.train.state import state_of
from splat.train.trainer import Trainer

CONFIG = TrainConfig(
    iterations=40,
    max_gaussians=150,
    init=InitConfig(few_points=10),
    density=DensityConfig(least_every=5, start=0, grow_gradient=1e-9),
)

#: What the quick suite asks of the default strategy alone.
OTHERS_SLOW = [name if name == CONFIG.strategy else pytest.param(name, marks=pytest.mark.slow) for name in STRATEGIES]


class Counts(Listener):
    """The number of Gaussians after every step, and that all tables have as many rows."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        tables = [trainer.representation.parameters, *trainer.optimizer.state, trainer.strategy.statistics]
        (count,) = {tensor.shape[0] for table in tables for tensor in table.values()}
        assert count == report.gaussians == trainer.count
        self.counts.append(count)


def config_of(strategy: str) -> TrainConfig:
    return dataclasses.replace(CONFIG, strategy=strategy)  # type: ignore[arg-type]


def flat(state) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else []
    return [tensor for value in inner for tensor in flat(value)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_grows_up_to_the_cap_and_never_beyond(scene: Scene, strategy: str) -> None:
    counts = Counts()
    Trainer(scene, config_of(strategy), [counts]).run()
    assert counts.counts[0] < max(counts.counts) == CONFIG.max_gaussians


@pytest.mark.parametrize("strategy", OTHERS_SLOW)
def test_a_cap_below_the_start_is_kept_from_the_first_step(scene: Scene, strategy: str) -> None:
    counts = Counts()
    Trainer(scene, dataclasses.replace(config_of(strategy), max_gaussians=50), [counts]).run()
    assert max(counts.counts) <= 50


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_cap_lowered_on_the_way_is_kept(scene: Scene, strategy: str) -> None:
    class Lower(Counts):
        def on_step(self, trainer: Trainer, report: StepReport) -> None:
            super().on_step(trainer, report)
            if trainer.step == 20:
                with pytest.warns(UserWarning, match="at most"):
                    trainer._make_room()

    counts = Lower()
    Trainer(scene, config_of(strategy), [counts]).run()
    assert max(counts.counts[20:]) <= 0.9 * counts.counts[19]


@pytest.mark.parametrize("strategy", OTHERS_SLOW)
@pytest.mark.parametrize("antialias", ["classic", pytest.param("mip", marks=pytest.mark.slow)])
def test_a_resumed_run_ends_the_same_bit_for_bit(scene: Scene, strategy: str, antialias: str) -> None:
    config = dataclasses.replace(config_of(strategy), antialias=antialias)  # type: ignore[arg-type]
    whole, halted, resumed = (Trainer(scene, config) for _ in range(3))
    states: list[dict] = []

    class Halt(Listener):
        def on_step(self, trainer: Trainer, report: StepReport) -> None:
            if trainer.step == 22:
                states.append(state_of(trainer))
                trainer.request_stop()

    whole.run()
    halted.listeners.append(Halt())
    halted.run()
    resumed.restore(states[0])
    resumed.run()
    assert whole.count == resumed.count
    assert all(torch.equal(a, b) for a, b in zip(flat(state_of(whole)), flat(state_of(resumed)), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_learns_what_the_photos_show(scene: Scene, strategy: str) -> None:
    config = dataclasses.replace(config_of(strategy), iterations=150, density=DensityConfig(least_every=20))
    trainer = Trainer(scene, config)
    before = trainer.evaluate().psnr
    trainer.run()
    assert trainer.evaluate().psnr > before + 2


@pytest.mark.parametrize("strategy", OTHERS_SLOW)
@pytest.mark.parametrize("antialias", ["classic", pytest.param("mip", marks=pytest.mark.slow)])
def test_the_same_bits_for_any_number_of_threads(scene: Scene, strategy: str, antialias: str) -> None:
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            config = dataclasses.replace(config_of(strategy), antialias=antialias)  # type: ignore[arg-type]
            trainer = Trainer(scene, config)
            trainer.run()
            results.append(flat(state_of(trainer)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
