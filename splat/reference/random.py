"""Random numbers from counters, in plain torch: the readable truth of cuda/include/splat/random.h.

Source: the finaliser of MurmurHash3 (Appleby, public domain).
"""

from __future__ import annotations

import torch
from torch import Tensor

ALL_BITS = 0xFFFFFFFF


def row_random(step: int, rows: int) -> Tensor:
    """[rows] int64 in [0, 2^32), by step (or a step's seed) and row."""
    return _mixed(_mixed(torch.tensor([step])) + torch.arange(rows))


def unit_interval(random: Tensor) -> Tensor:
    """float64 in (0, 1), the middle of one of 2^23 equal parts."""
    return ((random >> 9).double() + 0.5) / 2**23


def _mixed(bits: Tensor) -> Tensor:
    bits = bits & ALL_BITS
    bits = ((bits ^ (bits >> 16)) * 0x85EBCA6B) & ALL_BITS
    bits = ((bits ^ (bits >> 13)) * 0xC2B2AE35) & ALL_BITS
    return bits ^ (bits >> 16)
