"""What was deleted from a scene, and the way back."""

from __future__ import annotations

import torch
from torch import Tensor


class Edits:
    """Deletions that can be undone and done again. Of each Gaussian one number says which deletion took it, so that all
    of the history costs four bytes a Gaussian.

    Args:
        count: Gaussians of the scene, N.

    Attributes:
        version: changes with every deletion, undo and redo.
        keep: [N] bool, on the CPU: what is left.
        left: how many that are.
    """

    def __init__(self, count: int) -> None:
        self.version = 0
        self._taken_by = torch.zeros(count, dtype=torch.int32)  # 0: by none.
        self._steps: list[str] = []
        self._done = 0
        self.keep, self.left = torch.ones(count, dtype=torch.bool), count

    @property
    def undoable(self) -> str:
        """What `undo` would take back, in words; empty where there is nothing."""
        return self._steps[self._done - 1] if self._done else ""

    @property
    def redoable(self) -> str:
        """What `redo` would do again, in words; empty where there is nothing."""
        return self._steps[self._done] if self._done < len(self._steps) else ""

    def whole(self, rows: Tensor) -> Tensor:
        """[N] bool, on the CPU, for [M] of what is left."""
        whole = torch.zeros_like(self.keep)
        whole[self.keep] = rows.cpu()
        return whole

    def delete(self, rows: Tensor, what: str) -> int:
        """Deletes what is still there of `rows` [N] bool; deletions that were undone can no longer be done again.

        Args:
            what: the deletion in words.

        Returns:
            How many are gone; where none are, nothing has changed.
        """
        rows = rows.cpu() & self.keep
        count = int(rows.sum())
        if not count:
            return 0
        self._taken_by[self._taken_by > self._done] = 0
        self._steps = [*self._steps[: self._done], what]
        self._done += 1
        self._taken_by[rows] = self._done
        self._changed()
        return count

    def undo(self) -> None:
        """Takes the last deletion back, if there is one."""
        if self.undoable:
            self._done -= 1
            self._changed()

    def redo(self) -> None:
        """Does the deletion that was undone last again, if there is one."""
        if self.redoable:
            self._done += 1
            self._changed()

    def _changed(self) -> None:
        self.keep = (self._taken_by == 0) | (self._taken_by > self._done)
        self.left = int(self.keep.sum())
        self.version += 1
