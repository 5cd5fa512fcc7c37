"""How many instances the next frame may have: told beforehand, so that no frame waits for the GPU to count them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Room for more than any frame has needed so far, and what bounds are multiples of, so that they seldom change and the
#: allocator finds the memory of the frame before.
MARGIN, GRAIN = 1.25, 1 << 16
#: Instances are numbered by 32-bit integers.
MOST = 2**31 - 1


class InstanceBound:
    """A bound on the instances (Gaussian-tile pairs) of the next frame, from those of all frames before.

    The first frame has none and waits, as does the one after `forget`. What a frame needed is read when the next one
    begins, by when the GPU has drawn it and goes back through it, so that it does not run out of work. A frame that
    needs more than its bound is drawn without its last Gaussians (see `tiles`), which get no gradient in that step; it
    raises the bound for those that follow, by a quarter at least: lists that grow a hundredfold in a run cost at most
    20 such frames.

    Args:
        is_used: False where nothing waits anyway, on the CPU. There are no bounds then.

    Attributes:
        most: the most instances that a frame has needed; 0 before the first. Part of a run's state.
    """

    def __init__(self, is_used: bool) -> None:
        self.is_used = is_used
        self.most = 0
        self._unread: Tensor | None = None
        self._copied: torch.cuda.Event | None = None

    def next(self) -> int | None:
        """The bound of the frame that begins; None for as many instances as there are."""
        self.read()
        if not self.is_used or self.most == 0:
            return None
        return min(math.ceil(self.most * MARGIN / GRAIN) * GRAIN, MOST)

    def watch(self, needed: Tensor) -> None:
        """Takes note of `TileLists.needed` of a frame, without waiting for it."""
        self._unread = needed.to("cpu", non_blocking=True)  # pinned, as torch does then
        if needed.is_cuda:
            self._copied = torch.cuda.Event()
            self._copied.record()

    def read(self) -> None:
        """Looks at what the frame before needed."""
        if self._unread is None:
            return
        if self._copied is not None:
            self._copied.synchronize()
        self.most = max(self.most, int(self._unread))
        self._unread = self._copied = None

    def forget(self) -> None:
        """Has the next frame wait, and take no more memory than it needs."""
        self.most, self._unread, self._copied = 0, None, None
