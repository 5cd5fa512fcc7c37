"""Whole runs: the folder they leave, and that nothing can be told from it about interruptions and threads."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import splat
from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.train.checkpoint import load_checkpoint
from splat.train.config import DensityConfig, InitConfig, SaveConfig, TrainConfig
from splat.train.listeners import Listener, StepReport
from splat.train.run import describe_cameras, load_config, load_source, open_capture, train
from splat.train.trainer import Trainer

#: Short, and yet with densifications and every spherical-harmonic degree.
CONFIG = TrainConfig(
    iterations=60,
    max_gaussians=200,
    init=InitConfig(few_points=10),
    density=DensityConfig(start=0, least_every=5, least_reset_every=20),
    save=SaveConfig(checkpoint_every=20, log_every=5),
)

TRAIN = """
import os, signal, sys
from splat.train.config import *
from splat.train.listeners import Listener
from splat.train.run import train

class Killer(Listener):
    def on_step(self, trainer, report):
        if report.step == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

train(sys.argv[1], sys.argv[2], {config!r}, listeners=[Killer()])
"""


def train_and_kill(capture: Path, output: Path, step: int) -> None:
    """Trains with CONFIG in a process of its own, which SIGKILL ends right after a step."""
    code = TRAIN.replace("{config!r}", repr(CONFIG))
    command = [sys.executable, "-c", code, str(capture), str(output), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


class Interrupt(Listener):
    """Sends this process a signal after a step."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        self.number, self.step = number, step

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), self.number)


def metrics(folder: Path) -> list[dict]:
    """Entries of metrics.jsonl without the times, which no two runs share."""
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for entry in entries:
        entry.pop("seconds")
        for view in entry.get("views", []):
            view.pop("seconds")
    return entries


def assert_same(folder: Path, other: Path) -> None:
    assert (folder / "scene.ply").read_bytes() == (other / "scene.ply").read_bytes()
    assert metrics(folder) == metrics(other)


@pytest.fixture(scope="module")
def whole_run(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody disturbed; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert train(capture, folder, CONFIG).reason == "done"
    return folder


def test_the_folder_is_plain_and_complete(whole_run: Path, capture: Path) -> None:
    names = {path.name for path in whole_run.iterdir()}
    assert names == {"config.json", "scene.ply", "cameras.json", "metrics.jsonl", "checkpoints"}
    assert load_config(whole_run) == CONFIG
    assert load_source(whole_run) == capture.resolve()
    assert [path.name for path in sorted((whole_run / "checkpoints").iterdir())] == [
        "step_0000040.pt",
        "step_0000060.pt",
    ]
    entries = metrics(whole_run)
    assert [entry["step"] for entry in entries if entry["kind"] == "step"] == [1, *range(5, 61, 5)]
    assert [entry["step"] for entry in entries if entry["kind"] == "eval"] == [60]


def test_scene_and_cameras_are_in_the_captures_own_world(whole_run: Path, capture: Path) -> None:
    trained = splat.load(whole_run / "scene.ply")
    content = json.loads((whole_run / "cameras.json").read_text())
    transforms = json.loads((capture / "transforms.json").read_text())
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    for view, frame in zip(content["views"], transforms["frames"], strict=True):
        assert view["name"] == frame["file_path"]
        torch.testing.assert_close(
            torch.tensor(view["viewmat"]),
            torch.linalg.inv(torch.tensor(frame["transform_matrix"]) @ flip),
            atol=1e-5,
            rtol=0,
        )
    index, view = next((i, view) for i, view in enumerate(content["views"]) if view["split"] == "train")
    K, viewmat = torch.tensor([view["K"]]), torch.tensor([view["viewmat"]])
    here = splat.render(trained, splat.Cameras(viewmat, K, view["width"], view["height"], view["model"])).rgb
    parameters = load_checkpoint(whole_run / "checkpoints" / "step_0000060.pt")["parameters"]
    there = splat.render(splat.Gaussians(**parameters), open_capture(capture, CONFIG).views[index].camera).rgb
    assert there.max() > 0.2
    torch.testing.assert_close(here, there, atol=2e-3, rtol=0)


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_bytes(whole_run: Path, capture: Path, tmp_path: Path) -> None:
    # Well after a checkpoint, so that steps and lines of the log have to be taken again.
    train_and_kill(capture, tmp_path / "run", step=37)
    assert not (tmp_path / "run" / "scene.ply").exists()
    train(capture, tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", whole_run)


@pytest.mark.slow
def test_a_run_without_checkpoint_starts_again(whole_run: Path, capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(capture, folder, CONFIG, listeners=[Interrupt(signal.SIGINT, 7)])
    for checkpoint in (folder / "checkpoints").iterdir():
        checkpoint.unlink()
    train(capture, folder, resume=True)
    assert_same(folder, whole_run)


def test_a_damaged_checkpoint_costs_steps_but_no_bits(whole_run: Path, capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(capture, folder, CONFIG, listeners=[Interrupt(signal.SIGINT, 45)])
    (folder / "checkpoints" / "step_0000045.pt").write_bytes(b"half a checkpoint")
    with pytest.warns(UserWarning, match="resuming from step_0000040.pt"):
        train(capture, folder, resume=True)
    assert_same(folder, whole_run)


def test_the_number_of_threads_changes_no_byte(whole_run: Path, capture: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 3)
    try:
        train(capture, tmp_path / "run", CONFIG)
    finally:
        torch.set_num_threads(threads)
    assert_same(tmp_path / "run", whole_run)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_saves_the_run_whole_and_it_can_be_resumed(
    whole_run: Path, capture: Path, tmp_path: Path, number: signal.Signals
) -> None:
    stopped = train(capture, tmp_path / "run", CONFIG, listeners=[Interrupt(number, 33)])
    assert (stopped.reason, stopped.step) == (number.name, 33)
    assert len(splat.load(tmp_path / "run" / "scene.ply")) == stopped.gaussians
    run = train(capture, tmp_path / "run", resume=True)
    assert (run.reason, run.step) == ("done", 60)
    assert_same(tmp_path / "run", whole_run)


def test_another_seed_gives_another_scene(whole_run: Path, capture: Path, tmp_path: Path) -> None:
    train(capture, tmp_path / "run", CONFIG, seed=1)
    assert (tmp_path / "run" / "scene.ply").read_bytes() != (whole_run / "scene.ply").read_bytes()


def test_the_package_itself_trains(capture: Path, tmp_path: Path) -> None:
    run = splat.train(capture, tmp_path / "run", iterations=3)
    assert run.step == 3 and run.evaluation is not None and (tmp_path / "run" / "scene.ply").exists()


def test_a_run_is_not_overwritten_unasked(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(scene, folder, iterations=2)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(
        SplatError, match="already holds a run; continue it with --resume, or replace it with --overwrite"
    ):
        train(scene, folder, iterations=2)
    run = train(scene, folder, iterations=3, overwrite=True)
    assert run.step == 3
    assert (folder / "notes.txt").exists()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step_0000003.pt"]


def test_resuming_a_finished_run_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = train(scene, folder, iterations=2)
    before = metrics(folder), (folder / "scene.ply").read_bytes()
    again = train(scene, folder, resume=True)
    assert (metrics(folder), (folder / "scene.ply").read_bytes()) == before
    assert first.evaluation is not None and again.evaluation is not None
    assert again.evaluation.psnr == first.evaluation.psnr


def test_what_cannot_be_resumed_says_why(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="holds no run to resume; leave --resume out"):
        train(scene, tmp_path / "none", resume=True)
    folder = tmp_path / "run"
    train(scene, folder, iterations=2)
    with pytest.raises(SplatError, match="made with other settings"):
        train(scene, folder, resume=True, iterations=4)
    fewer = dataclasses.replace(scene, train=scene.train[:-1])
    with pytest.raises(SplatError, match="other training photos"):
        train(fewer, folder, resume=True)


def test_a_folder_that_cannot_be_written_is_named(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SplatError, match="is a file; give the name of a folder"):
        train(scene, tmp_path / "file", iterations=1)
    with pytest.raises(SplatError, match="config.json: .*choose another"):
        train(scene, tmp_path / "file" / "run", iterations=1)


def test_a_damaged_config_is_named(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SplatError, match="is not a run's config.json"):
        train(scene, tmp_path, resume=True)


def test_cameras_are_rigid_after_denormalisation(scene: Scene) -> None:
    for view in describe_cameras(scene)["views"]:
        rotation = torch.tensor(view["viewmat"], dtype=torch.float64)[:3, :3]
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)
