"""What a run writes down: metrics.jsonl, one JSON object a line, and TensorBoard's files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from splat.errors import SplatError
from splat.files import atomic
from splat.train.listeners import EvalReport, Listener, StepReport

if TYPE_CHECKING:
    from splat.train.trainer import Trainer


class MetricsLog(Listener):
    """metrics.jsonl: `{"kind": "step", step, loss, psnr, gaussians, factor, sh_degree, seconds}` every `log_every`
    steps, `{"kind": "eval", step, psnr, psnr_corrected, psnr_aligned, ssim, gaussians, seconds, views: [{name, psnr,
    ...}]}` per evaluation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: TextIO | None = None

    def on_start(self, trainer: Trainer) -> None:
        _drop_after(self.path, trainer.step)
        try:
            self.file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise _write_error(self.path, error) from error

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.psnr is not None:
            self._write({"kind": "step", **asdict(report)})

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        self._write({"kind": "eval", **asdict(report)})

    def on_end(self, trainer: Trainer, reason: str) -> None:
        if self.file is not None:
            self.file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        assert self.file is not None
        try:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
        except OSError as error:
            raise _write_error(self.path, error) from error


def _drop_after(path: Path, step: int) -> None:
    """Leaves out what a run resumed at `step` writes again: later steps, this step's evaluation, half a last line."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            entry = json.loads(line)
            repeated = entry["step"] > step or (entry["step"] == step and entry["kind"] == "eval")
            if line.endswith("\n") and not repeated:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    with atomic(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")


def _write_error(path: Path, error: OSError) -> SplatError:
    return SplatError(f"{path}: cannot be written: {error.strerror or error}; free some space or check its permissions")


class TensorBoardLog(Listener):
    """The same numbers as TensorBoard scalars, in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_start(self, trainer: Trainer) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # purge_step hides what an interrupted run wrote after the checkpoint that is resumed.
        self.writer = SummaryWriter(self.folder, purge_step=trainer.step + 1)

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.psnr is not None:
            self.writer.add_scalar("train/loss", report.loss, report.step)
            self.writer.add_scalar("train/psnr", report.psnr, report.step)
            self.writer.add_scalar("train/gaussians", report.gaussians, report.step)

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        self.writer.add_scalar("eval/psnr", report.psnr, report.step)
        self.writer.add_scalar("eval/ssim", report.ssim, report.step)

    def on_end(self, trainer: Trainer, reason: str) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
