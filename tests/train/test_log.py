"""What a run shows and writes down while it goes on."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.evaluate.curves import read_metrics
from splat.train.config import InitConfig, SaveConfig, TrainConfig
from splat.train.listeners import Listener
from splat.train.log import MetricsLog
from splat.train.progress import ProgressBar
from splat.train.run import train
from splat.train.trainer import Trainer

CONFIG = TrainConfig(iterations=20, max_gaussians=50, init=InitConfig(few_points=10), save=SaveConfig(log_every=1))


def shown(scene: Scene, config: TrainConfig, *, terminal: bool, listeners: tuple[Listener, ...] = ()) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=200)
    Trainer(scene, config, [ProgressBar(Path("my_run"), console), *listeners]).run()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue())


def test_a_terminal_shows_a_bar_with_all_that_matters(scene: Scene) -> None:
    text = shown(scene, CONFIG, terminal=True)
    assert "8 photos, 2 held out, 50 Gaussians to start with" in text
    last = text[text.rindex("20/20") :]
    assert re.search(r"loss 0\.\d{4}  \d+\.\d dB  50 Gaussians  full size  \d+\.\d it/s +0:00:0\d left", last)
    assert re.search(r"Held-out photos at step 20: PSNR \d+\.\d\d dB, SSIM 0\.\d{3} \(50 Gaussians", text)


def test_elsewhere_a_line_at_every_tenth(scene: Scene) -> None:
    lines = [line for line in shown(scene, CONFIG, terminal=False).splitlines() if line.startswith("step ")]
    assert [line.split(":")[0] for line in lines] == [f"step {step} of 20" for step in range(2, 21, 2)]


def test_an_interrupted_run_says_how_to_go_on(scene: Scene) -> None:
    class Stop(Listener):
        def on_step(self, trainer: Trainer, report: object) -> None:
            if trainer.step == 7:
                trainer.request_stop("SIGINT")

    text = shown(scene, CONFIG, terminal=True, listeners=(Stop(),))
    assert "Stopped at step 7 of 20, saved in my_run. To go on, give the same command with --resume" in text


def test_what_is_logged_can_be_read_as_curves(scene: Scene, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, save=SaveConfig(log_every=5, eval_every=10))
    Trainer(scene, config, [MetricsLog(tmp_path / "metrics.jsonl")]).run()
    entries = read_metrics(tmp_path / "metrics.jsonl")
    assert [(entry["kind"], entry["step"]) for entry in entries] == [
        ("step", 1),
        ("step", 5),
        ("step", 10),
        ("eval", 10),
        ("step", 15),
        ("step", 20),
        ("eval", 20),
    ]
    assert {"loss", "psnr", "gaussians", "factor", "sh_degree", "seconds"} < set(entries[0])
    assert {view["name"] for view in entries[-1]["views"]} == {"images/00.png", "images/05.png"}


def test_lines_that_a_resumed_run_writes_again_are_dropped(scene: Scene, tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    lines = [{"kind": "step", "step": 4}, {"kind": "step", "step": 5}, {"kind": "eval", "step": 5}]
    lines.append({"kind": "step", "step": 6})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "st')
    trainer = Trainer(scene, CONFIG, [MetricsLog(log)])
    trainer.step = 5
    trainer.request_stop()
    trainer.run()
    assert [json.loads(line) for line in log.read_text().splitlines()] == lines[:2]


def test_a_log_that_cannot_be_written_is_named(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(SplatError, match="metrics.jsonl"):
        train(scene, tmp_path, CONFIG)


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers(scene: Scene, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = dataclasses.replace(CONFIG, save=SaveConfig(log_every=5, tensorboard=True))
    train(scene, tmp_path / "run", config)
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    logged = {e["step"]: e["loss"] for e in read_metrics(tmp_path / "run" / "metrics.jsonl") if e["kind"] == "step"}
    board = {event.step: event.value for event in events.Scalars("train/loss")}
    assert board == pytest.approx(logged)
    assert [event.step for event in events.Scalars("eval/psnr")] == [20]
