"""What every correction owes a run: it resumes as if it had never stopped, and on any number of threads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from splat.datasets.scene import Scene
from splat.train.config import CorrectionsConfig, InitConfig, TrainConfig
from splat.train.listeners import Listener, StepReport
from splat.train.trainer import Trainer

SETTINGS = [
    CorrectionsConfig(exposure="affine"),
    CorrectionsConfig(exposure="bilateral"),
    CorrectionsConfig(transients=True),
    CorrectionsConfig(exposure="affine", transients=True),
]
#: The last has both, so that one alone can be left to the slow tests.
SOME_SLOW = [pytest.param(x, marks=[pytest.mark.slow] if x in (SETTINGS[0], SETTINGS[2]) else []) for x in SETTINGS]
corrected = pytest.mark.parametrize("settings", SOME_SLOW, ids=str)


class HaltAt(Listener):
    """Keeps the state at a step and stops there."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.state: dict[str, Any] = {}

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if trainer.step == self.step:
            self.state = trainer.state()
            trainer.request_stop()


def config_of(settings: CorrectionsConfig) -> TrainConfig:
    return TrainConfig(iterations=24, max_gaussians=200, init=InitConfig(few_points=10), corrections=settings)


def tensors(state: object) -> list[Tensor]:
    """All in a state."""
    if isinstance(state, Tensor):
        return [state]
    values = list(state.values()) if isinstance(state, dict) else state if isinstance(state, list) else []
    return [tensor for value in values for tensor in tensors(value)]


def same(one: Trainer, other: Trainer) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one.state()), tensors(other.state()), strict=True))


@corrected
def test_a_resumed_run_ends_the_same_bit_for_bit(scene: Scene, settings: CorrectionsConfig) -> None:
    halt = HaltAt(11)
    config = config_of(settings)
    whole, halted, resumed = Trainer(scene, config), Trainer(scene, config, [halt]), Trainer(scene, config)
    whole.run()
    halted.run()
    resumed.restore(halt.state)
    resumed.run()
    assert same(whole, resumed) and not same(whole, halted)


@corrected
def test_the_same_bits_for_any_number_of_threads(scene: Scene, settings: CorrectionsConfig) -> None:
    threads, runs = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            runs.append(Trainer(scene, config_of(settings)))
            runs[-1].run()
    finally:
        torch.set_num_threads(threads)
    assert same(*runs)


@pytest.mark.parametrize("settings", SETTINGS[:2], ids=str)
def test_a_step_taken_back_leaves_nothing_behind(scene: Scene, settings: CorrectionsConfig) -> None:
    trainer = Trainer(scene, config_of(settings))
    before = {name: [tensor.clone() for tensor in tensors(held)] for name, held in trainer.corrections.state().items()}
    view = scene.train[0]
    trainer._look(view).rgb.sum().backward()
    trainer.corrections.forget()
    look = trainer._look(view)
    trainer.corrections.update(view, 1, look.frame)
    after = {name: tensors(held) for name, held in trainer.corrections.state().items()}
    assert all(torch.equal(a, b) for name in before for a, b in zip(before[name], after[name], strict=True))
