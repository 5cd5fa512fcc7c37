"""Quality against time of whole training runs: one line an evaluation, in CPU seconds of this process.

    python scripts/bench_train.py DATA/fox --downscale 2 --iterations 1000
    python scripts/bench_train.py datasets/sample --downscale 2 --iterations 2000 --density.grow-gradient 4e-4

Takes the settings of `splat train`. Nothing is written.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import torch
import tyro

from splat.train.config import TrainConfig
from splat.train.listeners import EvalReport, Listener, StepReport
from splat.train.run import open_capture
from splat.train.trainer import Trainer

#: Evaluations of a run.
POINTS = 5


@dataclasses.dataclass
class Bench:
    """Trains and prints PSNR and SSIM on the held-out photos at even intervals."""

    capture: Annotated[Path, tyro.conf.Positional]
    """The capture's folder."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainConfig)
    """What to train and how."""
    threads: int = 0
    """Threads of the kernels; torch's own choice if 0."""


class Table(Listener):
    """A line of a table per evaluation; CPU seconds count steps alone."""

    def __init__(self) -> None:
        self.cpu = 0.0

    def on_start(self, trainer: Trainer) -> None:
        print("| step | CPU s | wall s | PSNR, dB | SSIM | Gaussians |\n|---|---|---|---|---|---|")
        self.since = time.process_time()

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        now = time.process_time()
        self.cpu += now - self.since
        self.since = now

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        scores = f"{report.psnr:.2f} | {report.ssim:.3f} | {report.gaussians:,}"
        print(f"| {report.step:,} | {self.cpu:.0f} | {report.seconds:.0f} | {scores} |", flush=True)
        self.since = time.process_time()


def main(options: Bench) -> None:
    if options.threads:
        torch.set_num_threads(options.threads)
    every = max(options.config.iterations // POINTS, 1)
    config = dataclasses.replace(options.config, save=dataclasses.replace(options.config.save, eval_every=every))
    Trainer(open_capture(options.capture, config), config, [Table()]).run()


if __name__ == "__main__":
    main(tyro.cli(Bench))
