"""What can be shown: files, finished runs, runs that train; and what is said of anything else."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from made_up import VIEWS, made_up_scene
from made_up_run import write_run

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.evaluate.metrics import psnr
from splat.formats import write
from splat.render import render
from splat.train.config import TrainConfig
from splat.train.listeners import Listener
from splat.train.trainer import Trainer
from splat.viewer.source import TrainingSource, open_source


@pytest.fixture(scope="module")
def run(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(capture, tmp_path_factory.mktemp("run") / "run")


def test_a_file_alone_has_no_photos(tmp_path: Path) -> None:
    write(made_up_scene(), tmp_path / "scene.ply")
    source = open_source(tmp_path / "scene.ply")
    assert source.with_gaussians(len) == 60 and not source.views
    with pytest.raises(SplatError, match="without photos"):
        source.photo(0)


def test_a_runs_cameras_and_photos_belong_to_its_scene(run: Path) -> None:
    source = open_source(run)
    assert len(source.views) == VIEWS and [view.held_out for view in source.views].count(True) == 2
    for index in (0, 7):
        camera = source.views[index].camera
        image = source.with_gaussians(lambda gaussians, camera=camera: render(gaussians, camera).rgb[0])
        assert float(psnr(image, source.photo(index) / 255)) > 45
        assert source.mask(index) is None


def test_a_run_whose_photos_are_gone_is_shown_without(run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    config = (copied / "config.json").read_text()
    (copied / "config.json").write_text(config.replace("/capture", "/moved away"))
    source = open_source(copied)
    assert len(source.views) == VIEWS
    with pytest.raises(SplatError, match="photos of this run are gone: .*moved away does not exist"):
        source.photo(0)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda run: (run / "scene.ply").unlink(), "holds no scene.ply.*splat train"),
        (lambda run: (run / "cameras.json").unlink(), "cameras.json cannot be read"),
        (lambda run: (run / "cameras.json").write_text("{}"), "cameras.json has no list"),
        (
            lambda run: (run / "cameras.json").write_text('{"views": [{"name": "a", "K": [[1]]}]}'),
            "cameras.json: view 0 is not a camera",
        ),
        (lambda run: (run / "config.json").write_text("{"), "config.json"),
        (shutil.rmtree, "does not exist"),
    ],
)
def test_a_broken_run_is_named(spoil, said: str, run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    spoil(copied)
    with pytest.raises(SplatError, match=said):
        open_source(copied)


class Gate(Listener):
    """Holds training back until the test lets it go on."""

    def __init__(self) -> None:
        self.steps = threading.Semaphore(0)

    def on_step(self, trainer: Trainer, report) -> None:
        self.steps.acquire()


@pytest.fixture
def training(scene: Scene) -> Iterator[tuple[TrainingSource, Gate, threading.Thread]]:
    gate = Gate()
    trainer = Trainer(scene, TrainConfig(iterations=8, max_gaussians=200), [gate])
    source = TrainingSource(trainer)
    # Signals can only be handled on the main thread, which this test needs for itself.
    thread = threading.Thread(target=lambda: source.end(trainer.run()), daemon=True)
    thread.start()
    yield source, gate, thread
    gate.steps.release(1000)
    trainer.resume()
    thread.join(timeout=30)


def test_work_on_a_training_scene_is_done_between_its_steps(training) -> None:
    source, gate, thread = training
    gate.steps.release(2)
    worker = source.with_gaussians(lambda gaussians: (threading.current_thread(), source.trainer.step, len(gaussians)))
    assert worker[0] is thread and worker[1] <= 3 and worker[2] == source.trainer.count
    gate.steps.release(1000)
    thread.join(timeout=60)
    assert source.ended and source.generation == 8


def test_work_that_fails_fails_for_its_owner_and_training_goes_on(training) -> None:
    source, gate, thread = training
    gate.steps.release(1000)
    with pytest.raises(ZeroDivisionError):
        source.with_gaussians(lambda gaussians: 1 / 0)
    thread.join(timeout=60)
    assert source.reason == "done" and source.trainer.step == 8


def test_a_paused_and_an_ended_scene_can_be_worked_on(training) -> None:
    source, gate, thread = training
    source.trainer.pause()
    gate.steps.release(1000)
    assert source.with_gaussians(len) == source.trainer.count and not source.training
    source.trainer.resume()
    thread.join(timeout=60)
    assert source.with_gaussians(lambda gaussians: bool(torch.isfinite(gaussians.means).all()))
