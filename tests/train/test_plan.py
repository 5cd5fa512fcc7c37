"""From budgets to settings: the tightest part wins, what is set stays, what cannot be is said before any work."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splat.budget import DEVICES, FILE_COSTS, Budget
from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.train import plan, spending
from splat.train.config import GAUSSIANS_PER_STEP, InitConfig, SaveConfig, TrainConfig
from splat.train.cost import StepCost, through
from splat.train.forecast import Forecast, Images
from splat.train.listeners import Listener, StepReport
from splat.train.memory import bytes_per_gaussian, bytes_per_image
from splat.train.plan import LEAST_GAUSSIANS, Cap, plan_run, tightest
from splat.train.run import load_config, train
from splat.train.spending import TIME, TimeLimit
from splat.train.trainer import Trainer

#: The made-up capture's own 120 points.
FEW = InitConfig(few_points=10)


def asking(**settings) -> TrainConfig:
    names = {field.name for field in dataclasses.fields(Budget)}
    budget = Budget(**{name: settings.pop(name) for name in names & set(settings)})
    return TrainConfig(budget=budget, init=FEW, **settings)


def test_the_tightest_part_wins() -> None:
    config = asking(target_size="2MB", target_device="headset")
    cap = tightest(config, points=500)
    assert cap is not None and cap.flag == "--target-size 2MB"
    assert (cap.gaussians, cap.sh_degree) == (FILE_COSTS["ply"].gaussians(2_000_000, 3), 3)
    assert tightest(asking(target_size="2GB", target_device="phone"), 500) == Cap(1_000_000, 3, "--target-device phone")
    assert tightest(asking(), 500) is None
    memory = Cap(3_000, 3, "--target-vram 1GB")
    assert tightest(config, 500, [memory]) == memory


def test_where_there_is_little_room_colours_lose_degrees_but_not_those_that_are_set() -> None:
    cap = tightest(asking(target_size="2MB"), points=6_000)
    assert cap is not None and cap.sh_degree < 3
    assert cap.gaussians == FILE_COSTS["ply"].gaussians(2_000_000, cap.sh_degree)
    set_by_hand = tightest(asking(target_size="2MB", sh_degree=2), points=60_000)
    assert set_by_hand is not None and set_by_hand.sh_degree == 2


def test_colours_keep_their_degrees_if_time_allows_but_few_gaussians(scene: Scene) -> None:
    planned = plan_run(scene, asking(target_size="150kB")).config
    assert (planned.max_gaussians, planned.sh_degree) == (FILE_COSTS["ply"].gaussians(150_000, 1), 1)
    planned = plan_run(scene, asking(target_size="150kB", target_time="10min", iterations=20)).config
    assert (planned.iterations, planned.max_gaussians, planned.sh_degree) == (20, 20 * GAUSSIANS_PER_STEP, 3)


def test_a_cap_of_ones_own_stays(scene: Scene) -> None:
    planned = plan_run(scene, asking(target_size="2MB", max_gaussians=3_000)).config
    assert (planned.max_gaussians, planned.sh_degree) == (3_000, 3)
    # Ten thousand fit if their colours have one degree.
    planned = plan_run(scene, asking(target_size="2MB", max_gaussians=10_000)).config
    assert (planned.max_gaussians, planned.sh_degree) == (10_000, 2)
    with pytest.raises(SplatError, match=r"--max-gaussians 50000 contradicts --target-size 2MB, .* room for 29,377"):
        plan_run(scene, asking(target_size="2MB", max_gaussians=50_000))


def test_too_small_for_anything(scene: Scene) -> None:
    with pytest.raises(SplatError, match=f"--target-size 60kB has room for 848 .* fewer than {LEAST_GAUSSIANS:,}"):
        plan_run(scene, asking(target_size="60kB"))
    with pytest.raises(SplatError, match="--target-time 0s is too short: 50 steps"):
        plan_run(scene, asking(target_time="0s"))


def test_a_device_that_could_bear_more_changes_nothing(scene: Scene) -> None:
    config = asking(target_device="desktop")
    result = plan_run(scene, config)
    assert result.config == config
    long = asking(target_device="headset", iterations=DEVICES["headset"])
    assert plan_run(scene, long).config.max_gaussians == DEVICES["headset"]
    assert result.sentences == ["At most 2,500,000 Gaussians of SH degree 3, for --target-device desktop."]


def test_a_cpu_has_no_vram(scene: Scene) -> None:
    config = asking(target_vram="1GB", device="cpu")
    result = plan_run(scene, config)
    assert result.config == config and "has no effect" in result.sentences[0]


def test_memory_is_shared_between_images_and_gaussians(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic of a GPU, on a machine that need not have one."""
    monkeypatch.setattr(plan, "pick_device", lambda _: torch.device("cuda"))
    image, each = bytes_per_image(64 * 48), bytes_per_gaussian(3)
    planned = plan_run(scene, asking(target_vram="20MB")).config
    assert planned.downscale == 1
    used = image + planned.max_gaussians * each
    assert used <= 20_000_000 * 0.9 < used + each
    with pytest.raises(SplatError, match="--target-vram 1MB is too little for photos of this size"):
        plan_run(scene, asking(target_vram="1MB"))


@given(st.integers(200, 4000), st.integers(200, 4000), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16]))
def test_no_photo_is_larger_than_was_planned_for(width: int, height: int, factor: int) -> None:
    """Sides are rounded when photos are made smaller."""
    images = Images(1, width * height, width * height, min(width, height)).shrunk(factor)
    assert (
        round(width / factor) * round(height / factor) <= images.largest <= (width / factor + 1) * (height / factor + 1)
    )


def forecast(per_step: int | None = None, **settings) -> Forecast:
    images = Images(count=20, pixels=1e6, largest=1e6, side=800)
    return Forecast(StepCost(1e-3, 1e-7, 3e-7, 1e-12, 0.02), images, TrainConfig(**settings), 10_000, per_step)


@given(st.floats(0, 20_000), st.floats(0, 20_000), st.sampled_from([None, 20]))
def test_more_time_never_means_fewer_steps_nor_a_lower_cap(first: float, second: float, per_step: int | None) -> None:
    runs = forecast(per_step)
    few, many = (runs.steps(seconds) for seconds in sorted((first, second)))
    assert few <= many and runs.cap(few) <= runs.cap(many)


@given(st.floats(5, 20_000), st.sampled_from([None, 20]))
def test_as_many_steps_are_taken_as_fit(seconds: float, per_step: int | None) -> None:
    runs = forecast(per_step)
    steps = runs.steps(seconds)
    if steps > 0:
        assert runs.seconds(steps) <= seconds
    assert steps == 30_000 or runs.seconds(steps + 1) > seconds


def test_a_forecast_is_the_sum_of_its_steps() -> None:
    """Against a loop over every step of a run that has all its Gaussians from the start."""
    config = TrainConfig(max_gaussians=10_000, iterations=600)
    images = Images(1, 480_000, 480_000, 600)
    cost = StepCost(1e-3, 1e-7, 3e-7, 1e-12, 0.5)
    quarter, half, whole = (cost.step(480_000 / factor**2, 10_000) for factor in (4, 2, 1))
    expected = 0.5 + 150 * quarter + 150 * half + 300 * whole
    assert Forecast(cost, images, config, 10_000, None).seconds(600) == pytest.approx(expected, rel=1e-6)


@given(*[st.floats(1e-6, 1e-2)] * 4)
def test_a_cost_agrees_with_what_was_measured(base: float, pixel: float, gaussian: float, both: float) -> None:
    truth = StepCost(base, pixel, gaussian, both, 0.0)
    pixels, gaussians = (100.0, 1600.0), (50.0, 400.0)
    found = through(pixels, gaussians, [[truth.step(p, n) for p in pixels] for n in gaussians], 0.0)
    for p, n in ((100.0, 50.0), (1600.0, 400.0), (3000.0, 900.0)):
        assert math.isclose(found.step(p, n), truth.step(p, n), rel_tol=1e-6)


def test_noise_makes_no_step_cost_less_than_nothing() -> None:
    found = through((100.0, 1600.0), (50.0, 400.0), [[3.0, 2.0], [1.0, 0.5]], 0.0)
    assert all(value >= 0 for value in dataclasses.astuple(found))


def test_a_run_keeps_its_budget_and_says_what_came_out(capture: Path, tmp_path: Path) -> None:
    config = asking(target_time="10min", target_size="1MB", save=SaveConfig(log_every=50))
    config = dataclasses.replace(config, iterations=60)
    run = train(capture, tmp_path / "run", config)
    assert run.reason == "done" and run.step == run.config.iterations == 60
    # As many as 60 steps settle; more would fit into the file.
    assert run.config.max_gaussians == 60 * GAUSSIANS_PER_STEP < FILE_COSTS["ply"].gaussians(1_000_000, 3)
    size = (tmp_path / "run" / "scene.ply").stat().st_size
    assert (run.budget["size"].asked, run.budget["size"].used) == (1_000_000, size)
    assert run.budget["time"].asked == 600
    used = run.budget["time"].used
    assert used is not None and used > run.seconds
    told = json.loads((tmp_path / "run" / "config.json").read_text())["budget"]
    assert told == {name: dataclasses.asdict(part) for name, part in run.budget.items()}
    assert load_config(tmp_path / "run") == run.config


@pytest.mark.slow
def test_a_run_that_is_resumed_does_not_choose_again(capture: Path, tmp_path: Path) -> None:
    class Stop(Listener):
        plans = 0

        def on_plan(self, plan) -> None:
            self.plans += 1

        def on_step(self, trainer: Trainer, report: StepReport) -> None:
            if report.step == 30:
                trainer.request_stop()

    stop = Stop()
    config = asking(target_time="10min", target_size="1MB")
    first = train(capture, tmp_path / "run", config, listeners=[stop])
    assert first.step == 30 and stop.plans == 1
    config = dataclasses.replace(load_config(tmp_path / "run"), budget=config.budget)
    # Another process would not know when to stop either.
    second = train(capture, tmp_path / "run", config, listeners=[Halt(60)], resume=True)
    assert second.config == first.config and second.step == 60
    other = dataclasses.replace(config, budget=Budget(target_time="11min", target_size="1MB"))
    with pytest.raises(SplatError, match="other settings"):
        train(capture, tmp_path / "run", other, resume=True)


class Halt(Listener):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.step >= self.step:
            trainer.request_stop()


def test_the_limit_stops_what_takes_too_long_but_not_the_last_step(scene: Scene) -> None:
    budget, config = Budget(target_time="10s"), TrainConfig(iterations=4, init=FEW)
    trainer = Trainer(scene, config, [TimeLimit(budget, spent=11.0)])
    assert trainer.run() == TIME and trainer.step == 1
    trainer = Trainer(scene, dataclasses.replace(config, iterations=1), [TimeLimit(budget, spent=11.0)])
    assert trainer.run() == "done"


@pytest.mark.slow
def test_a_run_out_of_time_is_evaluated_and_can_be_finished(capture: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(spending, "LATEST", 0.0)
    config = asking(target_time="10min", iterations=60)
    run = train(capture, tmp_path / "run", config)
    assert run.reason == TIME and run.step == 1 and run.evaluation is not None
    assert train(capture, tmp_path / "run", resume=True).reason == "done"
