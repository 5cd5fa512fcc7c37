"""The loop: what it tells, what may be asked of it, how it stops, and that it learns."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time

import pytest
import torch

from splat import native
from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.train.config import DensityConfig, InitConfig, OptimConfig, SaveConfig, TrainConfig
from splat.train.listeners import Listener
from splat.train.trainer import Trainer

#: The capture's 120 points are few, but enough.
POINTS = InitConfig(few_points=10)
SHORT = TrainConfig(iterations=30, max_gaussians=200, init=POINTS)


class Recorder(Listener):
    """Remembers every event, and calls back at each step."""

    def __init__(self, at_step=lambda trainer: None) -> None:
        self.events: list[str] = []
        self.reports: list = []
        self.at_step = at_step

    def on_start(self, trainer: Trainer) -> None:
        self.events.append("start")

    def on_step(self, trainer: Trainer, report) -> None:
        self.events.append(f"step {report.step}")
        self.reports.append(report)
        self.at_step(trainer)

    def on_eval(self, trainer: Trainer, report) -> None:
        self.events.append(f"eval {report.step}")
        self.reports.append(report)

    def on_end(self, trainer: Trainer, reason: str) -> None:
        self.events.append(reason)


def test_it_learns_what_the_photos_show_and_densifies(scene: Scene) -> None:
    config = TrainConfig(iterations=200, max_gaussians=1000, init=POINTS, density=DensityConfig(least_every=20))
    trainer = Trainer(scene, config)
    before, count = trainer.evaluate().psnr, trainer.count
    trainer.run()
    assert trainer.evaluate().psnr > max(22, before + 4)
    assert trainer.count > 1.5 * count


def test_a_few_steps_on_each_backend(scene: Scene, backend: str) -> None:
    config = dataclasses.replace(SHORT, iterations=5, device="cuda" if backend == "cuda" else "cpu")
    trainer = Trainer(scene, config)
    before = trainer.evaluate().psnr
    assert trainer.run() == "done"
    assert trainer.evaluate().psnr > before + 0.2


def test_listeners_hear_everything_in_order(scene: Scene) -> None:
    recorder = Recorder()
    config = dataclasses.replace(SHORT, iterations=4, save=SaveConfig(eval_every=2, log_every=3))
    assert Trainer(scene, config, [recorder]).run() == "done"
    assert recorder.events == ["start", "step 1", "step 2", "eval 2", "step 3", "step 4", "eval 4", "done"]
    logged = [report.step for report in recorder.reports if not hasattr(report, "ssim") and report.psnr is not None]
    assert logged == [1, 3, 4]


def test_without_held_out_photos_nothing_is_evaluated(scene: Scene) -> None:
    recorder = Recorder()
    scene = dataclasses.replace(scene, test=[])
    Trainer(scene, dataclasses.replace(SHORT, iterations=2), [recorder]).run()
    assert recorder.events == ["start", "step 1", "step 2", "done"]


def test_the_cap_is_never_exceeded(scene: Scene) -> None:
    density = DensityConfig(least_every=2, start=0, grow_gradient=1e-9)
    config = TrainConfig(iterations=30, max_gaussians=150, init=POINTS, density=density)
    recorder = Recorder()
    Trainer(scene, config, [recorder]).run()
    counts = [report.gaussians for report in recorder.reports if not hasattr(report, "ssim")]
    assert counts[0] < max(counts) == 150


def test_one_request_stops_it(scene: Scene) -> None:
    recorder = Recorder(lambda trainer: trainer.request_stop() if trainer.step == 5 else None)
    assert Trainer(scene, SHORT, [recorder]).run() == "stopped"
    assert recorder.events[-2:] == ["step 5", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_after_the_step_and_find_their_handlers_again(scene: Scene, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    recorder = Recorder(lambda trainer: os.kill(os.getpid(), number) if trainer.step == 5 else None)
    assert Trainer(scene, SHORT, [recorder]).run() == number.name
    assert recorder.events[-2:] == ["step 5", number.name]
    assert signal.getsignal(number) is before


def test_callbacks_run_between_steps_on_the_training_thread(scene: Scene) -> None:
    seen: list[tuple[int, threading.Thread]] = []

    def ask(trainer: Trainer) -> None:
        if trainer.step == 3:
            trainer.between_steps(lambda trainer: seen.append((trainer.step, threading.current_thread())))

    Trainer(scene, dataclasses.replace(SHORT, iterations=6), [Recorder(ask)]).run()
    assert seen == [(3, threading.current_thread())]


def test_a_paused_run_rests_but_answers_and_goes_on(scene: Scene) -> None:
    trainer = Trainer(scene, SHORT, [Recorder(lambda trainer: trainer.pause() if trainer.step == 2 else None)])
    thread = threading.Thread(target=trainer.run)
    thread.start()
    answered = threading.Event()
    while not trainer.paused:
        time.sleep(0.01)
    trainer.between_steps(lambda trainer: answered.set())
    assert answered.wait(10)
    time.sleep(0.1)
    assert trainer.step == 2
    trainer.resume()
    thread.join(60)
    assert not thread.is_alive() and trainer.step == SHORT.iterations


def test_a_paused_run_takes_a_step_at_a_time(scene: Scene) -> None:
    steps = []
    trainer = Trainer(scene, SHORT, [Recorder(lambda trainer: steps.append((trainer.step, trainer.paused)))])
    trainer.step_once()
    trainer.pause()
    thread = threading.Thread(target=trainer.run)
    thread.start()
    trainer.step_once()
    trainer.step_once()
    deadline = time.monotonic() + 60
    while len(steps) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert steps == [(1, True), (2, True)]
    trainer.request_stop()
    thread.join(60)
    assert not thread.is_alive() and trainer.step == 2


def test_a_paused_run_can_be_stopped(scene: Scene) -> None:
    trainer = Trainer(scene, SHORT)
    trainer.pause()
    threading.Timer(0.2, trainer.request_stop).start()
    assert trainer.run() == "stopped"
    assert trainer.step == 0


def test_a_loss_that_is_no_number_ends_the_run_with_the_reason(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' own search for such numbers would find it first.
    monkeypatch.setattr(native, "VALIDATE", False)

    def spoil(trainer: Trainer) -> None:
        if trainer.step == 3:
            with torch.no_grad():
                # Gaussians with numbers that are none are culled; these are finite until they are squared.
                trainer.representation.parameters["sh"][:, 0] = 1e30

    recorder = Recorder(spoil)
    with pytest.raises(SplatError, match=r"the loss became (nan|inf) at step 4 \(photo images/\d\d.png\)"):
        Trainer(scene, SHORT, [recorder]).run()
    assert recorder.events[-2:] == ["step 3", "error"]


def test_every_listener_hears_the_end_even_if_one_fails(scene: Scene) -> None:
    class Failing(Listener):
        def on_end(self, trainer: Trainer, reason: str) -> None:
            raise SplatError("the disk is full")

    recorder = Recorder()
    with pytest.raises(SplatError, match="the disk is full"):
        Trainer(scene, dataclasses.replace(SHORT, iterations=1), [Failing(), recorder]).run()
    assert recorder.events[-1] == "done"


def test_a_scene_without_any_gaussian_left_ends_the_run(scene: Scene) -> None:
    # Only a reset can go below this threshold, so that everything is removed at the first refinement.
    density = DensityConfig(start=0, least_every=5, prune_opacity=0.9)
    with pytest.raises(SplatError, match="no Gaussian is left at step 5"):
        Trainer(scene, TrainConfig(iterations=30, init=POINTS, density=density), []).run()


@pytest.mark.parametrize("background", ["black", "white", "random", (0.2, 0.4, 0.6)])
def test_any_background_can_be_trained_over(scene: Scene, background) -> None:
    scene = dataclasses.replace(scene, background=None if isinstance(background, str) else background)
    config = dataclasses.replace(SHORT, iterations=3, background=background)
    assert Trainer(scene, config).run() == "done"


@pytest.mark.parametrize("antialias", ["classic", "antialiased", "mip"])
def test_any_filter_can_be_trained_with(scene: Scene, antialias) -> None:
    assert Trainer(scene, dataclasses.replace(SHORT, iterations=3, antialias=antialias)).run() == "done"


def test_gaussians_are_a_detached_view_of_the_present(scene: Scene) -> None:
    trainer = Trainer(scene, dataclasses.replace(SHORT, optim=OptimConfig(lr_sh=1.0), iterations=2))
    before = trainer.gaussians().sh.clone()
    trainer.run()
    now = trainer.gaussians()
    assert not now.sh.requires_grad and not torch.equal(now.sh, before)
