"""The bound on the next frame's lists: what it follows from, how often it fails, and that training is the same."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splat import native
from splat.datasets.scene import Scene
from splat.train import trainer as module
from splat.train.config import InitConfig, ResolutionConfig, SaveConfig, TrainConfig
from splat.train.instance_bound import GRAIN, MARGIN, MOST, InstanceBound
from splat.train.trainer import Trainer

CONFIG = TrainConfig(iterations=12, max_gaussians=150, init=InitConfig(few_points=10))


def needed(count: int) -> torch.Tensor:
    return torch.tensor([count])


def test_the_first_frame_has_none_and_the_others_room_for_more_than_any_before() -> None:
    bound = InstanceBound(is_used=True)
    assert bound.next() is None
    for count, most in ((1_000_000, 1_000_000), (10, 1_000_000), (1_200_000, 1_200_000), (0, 1_200_000)):
        bound.watch(needed(count))
        found = bound.next()
        assert found is not None and found % GRAIN == 0 and MARGIN * most <= found < MARGIN * most + GRAIN
    bound.forget()
    assert bound.next() is None


def test_on_the_cpu_there_is_none() -> None:
    bound = InstanceBound(is_used=False)
    bound.watch(needed(1000))
    assert bound.next() is None


def test_it_is_never_more_than_lists_may_hold() -> None:
    bound = InstanceBound(is_used=True)
    bound.watch(needed(2**33))
    assert bound.next() == MOST


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=200))
def test_frames_that_need_more_are_few(counts: list[int]) -> None:
    bound, exceeded = InstanceBound(is_used=True), 0
    for count in counts:
        limit = bound.next()
        exceeded += limit is not None and count > limit
        bound.watch(needed(count))
    assert exceeded <= math.log(max(counts) / counts[0], MARGIN) + 1e-9


def bounded(scene: Scene, config: TrainConfig) -> Trainer:
    """A trainer that uses bounds, wherever it is."""
    trainer = Trainer(scene, config)
    trainer.instance_bound = InstanceBound(is_used=True)
    return trainer


def bounds_of(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """A list of the bounds that frames are drawn with from now on."""
    found: list[int | None] = []
    render = module.Frame.render

    def noted(frame, *shown, bound=None, **options):
        found.append(bound)
        return render(frame, *shown, bound=bound, **options)

    monkeypatch.setattr(module.Frame, "render", noted)
    return found


@pytest.mark.slow_on_host
def test_training_is_the_same_with_bounds(scene: Scene, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, iterations=3, device="cuda" if backend == "cuda" else "cpu")
    plain, ours = Trainer(scene, config), bounded(scene, config)
    plain.instance_bound.is_used = False
    plain.run()
    bounds = bounds_of(monkeypatch)
    ours.run()
    assert bounds == [None] + [GRAIN] * (config.iterations - 1)
    for name, tensor in plain.representation.parameters.items():
        assert torch.equal(tensor, ours.representation.parameters[name]), name


def test_the_first_frame_of_a_finer_resolution_has_none(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, resolution=ResolutionConfig(coarsest=4, full_from=0.5, least_side=4))
    trainer, bounds = bounded(scene, config), bounds_of(monkeypatch)
    trainer.run()
    assert [step for step, bound in enumerate(bounds) if bound is None] == [0, 3, 6]


@pytest.mark.parametrize("most", [0, 3 * GRAIN])
def test_a_run_resumes_with_the_bound_that_it_had(scene: Scene, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    first, second = bounded(scene, CONFIG), bounded(scene, CONFIG)
    first.instance_bound.most = most
    first._take_step()
    state = first.state()
    assert state["most_instances"] == first.instance_bound.most > most // 2
    second.restore(state)
    bounds = bounds_of(monkeypatch)
    first._take_step()
    second._take_step()
    assert bounds[0] == bounds[1] is not None
    del state["most_instances"]
    second.restore(state)
    second._take_step()
    assert bounds[2] is None


def test_where_memory_does_not_suffice_the_next_frame_takes_what_it_needs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = bounded(scene, CONFIG)
    trainer._take_step()
    bounds = bounds_of(monkeypatch)
    loss = module.photometric_loss

    def refuse_once(*arguments):
        monkeypatch.setattr(module, "photometric_loss", loss)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "photometric_loss", refuse_once)
    with pytest.warns(UserWarning, match="does not suffice"):
        trainer._within_memory(trainer._take_step)
    trainer._take_step()
    assert bounds == [GRAIN, None, GRAIN]


@pytest.mark.backends("cuda")
def test_a_step_does_not_wait_for_the_gpu(scene: Scene, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "VALIDATE", False)  # the search for NaN waits
    trainer = Trainer(scene, dataclasses.replace(CONFIG, device="cuda", save=SaveConfig(log_every=1000)))
    for _ in range(3):
        trainer._take_step()
    torch.cuda.synchronize()
    torch.cuda._sleep(1 << 31)
    trainer._take_step()
    assert not torch.cuda.current_stream().query()
