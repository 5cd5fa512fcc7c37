"""A scene's rows in blocks: few enough for the processor's cache, on as many threads as torch uses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from splat.errors import SplatError

#: Rows at a time: a megabyte of PLY.
BLOCK = 4096


def for_blocks(count: int, work: Callable[[slice], None]) -> None:
    """Calls `work` with slices of at most BLOCK rows that cover 0 to `count`, several at a time.

    NumPy and files let other threads run while they copy, so that `work` should do little else.

    Raises:
        what `work` raises; blocks that have not begun then are left out.
    """
    blocks = [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    workers = min(torch.get_num_threads(), len(blocks))
    if workers < 2:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, blocks):
            pass


def read_rows(path: Path, start: int, rows: slice, dtype: np.dtype, width: int) -> np.ndarray:
    """[rows, width] of a table whose first row is at byte `start` of the file.

    Raises:
        SplatError: the file ends before.
    """
    table = np.empty((rows.stop - rows.start, width), dtype)
    with path.open("rb", buffering=0) as file:
        file.seek(start + rows.start * table.strides[0])
        if file.readinto(table.data) != table.nbytes:
            raise SplatError(f"{path} ends within its Gaussians: it is cut short, get it again")
    return table
