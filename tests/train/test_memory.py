"""A GPU's memory: what is planned before a run, and what happens when it is used up in the middle of one."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.train import trainer as module
from splat.train.config import DensityConfig, InitConfig, TrainConfig
from splat.train.losses import Losses
from splat.train.memory import OutOfMemory, bytes_per_gaussian, most_opaque, photo_bytes, share_out
from splat.train.state import state_of
from splat.train.trainer import Trainer

#: Grows at every second step, so that the cap matters.
GROWING = DensityConfig(least_every=2, start=0, grow_gradient=1e-9)
CONFIG = TrainConfig(iterations=24, max_gaussians=150, strategy="adc", init=InitConfig(few_points=10), density=GROWING)


class Refusing:
    """Stands for an op that runs out of memory at chosen calls."""

    def __init__(self, op, calls: set[int], error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.op, self.calls, self.error, self.call = op, calls, error, 0

    def __call__(self, *arguments, **settings):
        self.call += 1
        if self.call in self.calls:
            raise self.error("CUDA out of memory. Tried to allocate 3 GiB")
        return self.op(*arguments, **settings)


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, calls: set[int], **settings) -> None:
    monkeypatch.setattr(module, name, Refusing(getattr(module, name), calls, **settings))


def flat(state: dict) -> list[torch.Tensor]:
    tables = [state["parameters"], *state["optimizer"], state["statistics"]]
    return [tensor for table in tables for tensor in table.values()] + [state["generator"]]


@pytest.mark.parametrize("op", ["Frame", "photometric_loss", "_psnr"])
def test_a_step_without_memory_leaves_nothing_behind(scene: Scene, monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    config = dataclasses.replace(CONFIG, background="random")
    trainer = Trainer(scene, config)
    trainer._within_memory(trainer._take_step)
    before = state_of(trainer)
    before = {**before, "parameters": {name: t.clone() for name, t in before["parameters"].items()}}
    before["optimizer"] = [{name: t.clone() for name, t in table.items()} for table in before["optimizer"]]
    before["statistics"] = {name: t.clone() for name, t in before["statistics"].items()}
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    # Every step is logged, so that `_psnr` is asked for.
    trainer.config = dataclasses.replace(config, save=dataclasses.replace(config.save, log_every=1))
    refuse(monkeypatch, op, {1})
    with pytest.raises(SplatError, match=r"memory does not suffice for step 2, .* \(--downscale\)"):
        trainer._within_memory(trainer._take_step)
    after = state_of(trainer)
    assert all(torch.equal(a, b) for a, b in zip(flat(before), flat(after), strict=True))
    assert (after["step"], after["pending_views"]) == (1, before["pending_views"])


def test_a_refinement_without_memory_leaves_nothing_behind(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(scene, CONFIG)
    for _ in range(2):
        trainer._take_step()
    before = [tensor.clone() for tensor in flat(state_of(trainer))]
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    cat = torch.cat
    # The last: 5 for the split Gaussians, 16 for parameters and the optimiser's state, 2 for the statistics.
    refusing = Refusing(cat, {23})
    monkeypatch.setattr(torch, "cat", refusing)
    with pytest.raises(SplatError, match="does not suffice for step 3"):
        trainer._within_memory(trainer._adapt)
    after = flat(state_of(trainer))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    refusing.calls, calls, refusing.call = set(), refusing.call, 0
    trainer._within_memory(trainer._adapt)
    assert refusing.call == calls == 23 and trainer.count == CONFIG.max_gaussians


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_training_goes_on_with_fewer_gaussians_and_the_cap_holds(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    refuse(monkeypatch, "Frame", {9, 10, 20}, error=error)
    trainer = Trainer(scene, CONFIG)
    counts: list[int] = []
    take_step = trainer._take_step

    def counted():
        counts.append(trainer.count)
        return take_step()

    monkeypatch.setattr(trainer, "_take_step", counted)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert trainer.run() == "done"
    sentences = [str(warning.message) for warning in said]
    assert len(sentences) == 3 and all("does not suffice" in sentence for sentence in sentences)
    assert trainer.step == CONFIG.iterations and len(counts) == CONFIG.iterations + 3
    # 150 at the ninth step, a tenth fewer after each refusal, and no more ever after.
    assert counts[8:11] == [150, 135, 121]
    assert counts[19:21] == [121, 108] and max(counts[20:]) == 108 == trainer.strategy.max_gaussians
    assert "135" in sentences[0] and "(step 9)" in sentences[0] and "(step 9)" in sentences[1]


def test_after_the_removal_the_step_is_the_one_it_would_have_been(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as removing these Gaussians between two steps."""
    plain, refused = Trainer(scene, CONFIG), Trainer(scene, CONFIG)
    for trainer in (plain, refused):
        trainer._take_step()
    with pytest.warns(UserWarning, match="does not suffice"):
        plain._make_room()
    plain._take_step()
    refuse(monkeypatch, "photometric_loss", {1})
    with pytest.warns(UserWarning, match="does not suffice"):
        refused._within_memory(refused._take_step)
    pairs = zip(flat(state_of(plain)), flat(state_of(refused)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_cap_once_lowered_stays_in_checkpoints(scene: Scene) -> None:
    trainer, other = Trainer(scene, CONFIG), Trainer(scene, CONFIG)
    with pytest.warns(UserWarning, match="at most"):
        trainer._make_room()
    state = state_of(trainer)
    other.restore(state)
    assert other.strategy.max_gaussians == trainer.strategy.max_gaussians < CONFIG.max_gaussians
    del state["max_gaussians"]
    fresh = Trainer(scene, CONFIG)
    fresh.restore(state)
    assert fresh.strategy.max_gaussians == CONFIG.max_gaussians


def test_other_errors_are_not_taken_for_it() -> None:
    is_out_of_memory = OutOfMemory(torch.device("cpu"))
    assert is_out_of_memory(torch.OutOfMemoryError("x")) and is_out_of_memory(RuntimeError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("shapes differ")) and not is_out_of_memory(ValueError("out of memory"))


def test_an_op_that_only_says_it_failed_is_found_out_by_the_allocators_count(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([2, 3, 3])
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: {"num_ooms": next(refusals)})
    is_out_of_memory = OutOfMemory(torch.device("cuda"))
    assert is_out_of_memory(RuntimeError("aoti_torch_empty_strided API call failed"))
    assert not is_out_of_memory(RuntimeError("aoti_torch_empty_strided API call failed"))


# The plan


def test_a_plan_that_fits_keeps_the_cap_and_gives_half_of_the_rest_to_photos() -> None:
    plan = share_out(20 << 30, 1920 * 1080, TrainConfig())
    assert plan.max_gaussians == TrainConfig.max_gaussians
    assert 0 < 2 * plan.photo_bytes < (20 << 30) - plan.max_gaussians * bytes_per_gaussian(3)


def test_a_cap_that_does_not_fit_is_lowered_unless_the_user_chose_it() -> None:
    with pytest.warns(UserWarning, match=r"500,000 Gaussians .* the cap is lowered to \d+,\d+$"):
        plan = share_out(1 << 29, 640 * 480, TrainConfig())
    assert 100_000 < plan.max_gaussians < 500_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert share_out(1 << 29, 640 * 480, TrainConfig(max_gaussians=plan.max_gaussians)).max_gaussians
    with pytest.warns(UserWarning, match=rf"600,000 Gaussians .*: --max-gaussians {plan.max_gaussians} would fit$"):
        assert share_out(1 << 29, 640 * 480, TrainConfig(max_gaussians=600_000)).max_gaussians == 600_000


def test_photos_are_counted(scene: Scene) -> None:
    camera = scene.views[0].camera
    assert photo_bytes(scene, False) == 4 * camera.width * camera.height * len(scene.train)


def test_the_most_opaque_stay_and_of_equals_the_first() -> None:
    assert most_opaque(torch.tensor([0.0, 2.0, 0.0, -1.0, 0.0]), 3).tolist() == [True, True, True, False, False]


# Losses


def test_losses_are_read_together_and_the_first_that_is_no_number_is_named() -> None:
    losses = Losses()
    losses.add(1, "a.jpg", torch.tensor(0.5))
    losses.read()
    assert losses.newest == 0.5
    for step, value in ((2, 0.25), (3, float("nan")), (4, float("inf"))):
        losses.add(step, f"{step}.jpg", torch.tensor(value))
    with pytest.raises(SplatError, match=r"nan at step 3 \(photo 3.jpg\)"):
        losses.read()


def test_the_loss_of_a_step_taken_back_is_not_read() -> None:
    losses = Losses()
    losses.add(1, "a.jpg", torch.tensor(0.5))
    losses.add(2, "b.jpg", torch.tensor(float("nan")))
    losses.forget(2)
    losses.read()
    assert losses.newest == 0.5
