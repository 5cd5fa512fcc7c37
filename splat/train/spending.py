"""What a run takes of its budget: a limit on time while it goes on, and an account at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from splat.budget import DEVICES, Budget
from splat.train.listeners import Listener, StepReport

if TYPE_CHECKING:
    from splat.train.trainer import Trainer

#: Why a run ends that the limit stops, and how many times the seconds asked for that is.
TIME, LATEST = "time", 1.1


class TimeLimit(Listener):
    """Stops a run that was planned on a faster machine, or on this one while it had less to do.

    Args:
        spent: seconds that planning took.
    """

    def __init__(self, budget: Budget, spent: float) -> None:
        self.seconds = math.inf if budget.seconds is None else LATEST * budget.seconds - spent

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.seconds > self.seconds and report.step < trainer.config.iterations:
            trainer.request_stop(TIME)


@dataclass(frozen=True)
class Spent:
    """One part of a budget, as a person asked for it, and in its unit what was asked and what came out.

    Attributes:
        words: such as "15MB".
        unit: "bytes", "seconds" or "Gaussians".
        used: None where it is not known, as a CPU's VRAM.
    """

    words: str
    unit: str
    asked: float
    used: float | None


def spent(budget: Budget, scene_file: Path, trainer: Trainer, planning: float) -> dict[str, Spent]:
    """What was asked of each part of the budget, and what came out.

    Args:
        planning: seconds that were spent before the first step.
    """
    account: dict[str, Spent] = {}
    if budget.size is not None:
        account["size"] = Spent(str(budget.target_size), "bytes", budget.size, scene_file.stat().st_size)
    if budget.vram is not None:
        peak = torch.cuda.max_memory_reserved(trainer.device) if trainer.device.type == "cuda" else None
        account["vram"] = Spent(str(budget.target_vram), "bytes", budget.vram, peak)
    if budget.target_device is not None:
        limit = DEVICES[budget.target_device]
        account["device"] = Spent(f"the {limit:,} of a {budget.target_device}", "Gaussians", limit, trainer.count)
    if budget.seconds is not None:
        account["time"] = Spent(str(budget.target_time), "seconds", budget.seconds, trainer.seconds + planning)
    return account
