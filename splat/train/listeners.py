"""What the trainer tells, and to whom: the progress bar, the log, the checkpoints and the live viewer are listeners.

A listener is called on the training thread, between two steps, in the order in which the listeners were given; it may
call anything of the trainer. An exception it raises ends the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splat.evaluate.metrics import ViewMetrics
    from splat.train.plan import Plan
    from splat.train.trainer import Trainer


@dataclass(frozen=True)
class StepReport:
    """One training step.

    Attributes:
        step: number of steps taken so far, this one included.
        loss: of this step's view, before the step; on a GPU, which would have to be waited for, that of the newest step
            whose loss was read, one in `log_every`.
        psnr: dB, of this step's view at the step's resolution, before the step; None except every `log_every` steps.
        gaussians: their number after the step.
        factor: by how much both image sides were divided.
        sh_degree: highest spherical-harmonic degree in use.
        seconds: training time so far, without evaluations and pauses, that of resumed runs included.
    """

    step: int
    loss: float
    psnr: float | None
    gaussians: int
    factor: int
    sh_degree: int
    seconds: float


@dataclass(frozen=True)
class EvalReport:
    """One evaluation on the held-out views.

    Attributes:
        psnr, psnr_corrected, ssim: means over the views; dB, dB with the colours fitted to each photo, and [-1, 1].
        psnr_aligned: dB, with the pose fitted to each photo; None where training does not refine poses.
        views: the same of each view, by name.
        gaussians, seconds: as in StepReport.
    """

    step: int
    psnr: float
    psnr_corrected: float
    psnr_aligned: float | None
    ssim: float
    views: list[ViewMetrics]
    gaussians: int
    seconds: float


class Listener:
    """Base of all listeners: hears everything and does nothing."""

    def on_plan(self, plan: Plan) -> None:
        """Before all else, in a run whose settings follow from a budget."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step of this process; `trainer.step` is above 0 in a resumed run."""

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        """After each step."""

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        """After each evaluation."""

    def on_end(self, trainer: Trainer, reason: str) -> None:
        """Once, after the last step: reason is "done", "stopped" (request_stop), "SIGINT", "SIGTERM" or "error"."""
