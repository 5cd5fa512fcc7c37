"""The progress bar: step, loss, PSNR, Gaussians, steps a second and time left; and what to do after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from splat.train.listeners import EvalReport, Listener, StepReport

if TYPE_CHECKING:
    from rich.console import Console

    from splat.train.plan import Plan
    from splat.train.trainer import Trainer

#: Weight of the newest value in the averages shown: single views differ too much to be read.
SMOOTHING = 0.05


class ProgressBar(Listener):
    """Shows on a terminal how the run goes; elsewhere prints a line at every tenth of it.

    Args:
        output: the run's folder, for the hint on resuming.
        console: where to print; the standard error if None, so that --json output stays clean.
    """

    def __init__(self, output: Path, console: Console | None = None) -> None:
        from rich.console import Console

        self.output = output
        self.console = console or Console(stderr=True)
        self.loss: float | None = None
        self.psnr: float | None = None

    def on_plan(self, plan: Plan) -> None:
        for sentence in plan.sentences:
            self.console.print(sentence, highlight=False, soft_wrap=True)

    def on_start(self, trainer: Trainer) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("train", total=trainer.config.iterations, completed=trainer.step, status="")
        self.started = (trainer.step, trainer.seconds)
        views = f"{len(trainer.scene.train)} photos, {len(trainer.scene.test)} held out"
        whence = f"resuming at step {trainer.step:,}" if trainer.step else f"{trainer.count:,} Gaussians to start with"
        self.console.print(f"Training {trainer.scene.source}: {views}, {whence}", highlight=False)
        self.bar.start()

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        self.loss = _smooth(self.loss, report.loss)
        if report.psnr is not None:
            self.psnr = _smooth(self.psnr, report.psnr, 0.3)
        status = self._status(report)
        self.bar.update(self.task, completed=report.step, status=status)
        tenth = max(trainer.config.iterations // 10, 1)
        if not self.console.is_terminal and report.step % tenth == 0:
            self.console.print(f"step {report.step:,} of {trainer.config.iterations:,}: {status}", highlight=False)

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        self.console.print(
            f"Held-out photos at step {report.step:,}: PSNR {report.psnr:.2f} dB, SSIM {report.ssim:.3f} "
            f"({report.gaussians:,} Gaussians, {report.seconds:.0f} s of training)",
            highlight=False,
        )

    def on_end(self, trainer: Trainer, reason: str) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()
        if reason not in ("done", "error"):
            self.console.print(
                f"Stopped at step {trainer.step:,} of {trainer.config.iterations:,}, saved in {self.output}. "
                "To go on, give the same command with --resume",
                highlight=False,
                soft_wrap=True,
            )

    def _status(self, report: StepReport) -> str:
        step, seconds = self.started
        speed = (report.step - step) / max(report.seconds - seconds, 1e-9)
        size = f"1/{report.factor} size" if report.factor > 1 else "full size"
        psnr = f"{self.psnr:.1f} dB" if self.psnr is not None else ""
        return f"loss {self.loss:.4f}  {psnr}  {report.gaussians:,} Gaussians  {size}  {speed:.1f} it/s"


def _smooth(average: float | None, value: float, weight: float = SMOOTHING) -> float:
    return value if average is None else average + weight * (value - average)
