"""Rounding to bfloat16 at random, in plain torch: the readable truth of cuda/include/splat/bfloat16.h.

Source: Gupta et al., "Deep learning with limited numerical precision", 2015, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splat.reference.random import ALL_BITS, row_random

#: From the random number of an element to the next one's, and of a parameter to that of its moments.
STRIDE, OF_MOMENT = 0x9E3779B9, 0x55555555


def random_numbers(step: int, rows: int, columns: int) -> Tensor:
    """[rows, columns] int64 in [0, 2^32): by which the elements of a parameter are rounded at a step.

    Those of its first moment are greater by OF_MOMENT and those of the second by twice that, modulo 2^32.
    """
    return (row_random(step, rows)[:, None] + STRIDE * torch.arange(columns)) & ALL_BITS


def round_at_random(numbers: Tensor, random: Tensor) -> Tensor:
    """One of the two bfloat16 neighbours of each number: the upper one, in absolute value, with the probability that
    makes the expectation exact. NaN stays NaN.

    Args:
        numbers: rounded to float32 first.
        random: integers of the same shape, of which the bits 16 to 31 decide.
    """
    bits = numbers.float().view(torch.int32)
    share = torch.where(numbers.isnan(), 0, (random & ALL_BITS) >> 16).to(torch.int32)
    return ((bits + share) >> 16).to(torch.int16).view(torch.bfloat16)
