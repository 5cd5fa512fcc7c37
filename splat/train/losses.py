"""The losses of a run: read from a GPU a few at a time, since each reading makes the CPU wait for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.errors import SplatError


class Losses:
    """Checks that every loss is a number.

    Attributes:
        newest: the loss that was read last; None before the first.
    """

    def __init__(self) -> None:
        self.newest: float | None = None
        self._waiting: list[tuple[int, str, Tensor]] = []

    def add(self, step: int, photo: str, loss: Tensor) -> None:
        """Takes the loss [] of a step; it is looked at when `read` is called next."""
        self._waiting.append((step, photo, loss.detach()))

    def read(self) -> None:
        """Looks at the losses that wait.

        Raises:
            SplatError: one is no number; names the first.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        values = torch.stack([loss for _, _, loss in waiting]).tolist()
        for (step, photo, _), value in zip(waiting, values, strict=True):
            if not math.isfinite(value):
                raise SplatError(
                    f"the loss became {value} at step {step} (photo {photo}); start again with lower learning "
                    "rates, or look whether this photo and its camera are sound"
                )
        self.newest = values[-1]

    def forget(self, step: int) -> None:
        """Drops the loss of a step that is taken back."""
        self._waiting = [entry for entry in self._waiting if entry[0] != step]
