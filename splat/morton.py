"""An order in which neighbours in space are neighbours in memory."""

from __future__ import annotations

import torch
from torch import Tensor

#: Of each coordinate; three make one 63-bit number.
BITS = 21
#: Points whose codes are made at a time on a CPU.
BLOCK = 1 << 14
#: How bits are moved apart to every third place: shift, then keep.
SPREAD = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def morton_order(points: Tensor) -> Tensor:
    """Sorts points along Morton's space-filling curve through their bounding box; equal ones keep their order.

    Kernels that go through Gaussians one after another then find what they need of the image, or of each other, in the
    cache.

    Args:
        points: [N, 3]; what is not finite counts as the box's first corner.

    Returns:
        [N] int64 indices, such that points[order] is sorted.

    Source:
        Morton, "A computer oriented geodetic data base", 1966.
    """
    if len(points) == 0:
        return torch.empty(0, dtype=torch.int64, device=points.device)
    values = points.detach()
    low, high = values.amin(dim=0), values.amax(dim=0)
    if not (low.isfinite() & high.isfinite()).all():
        finite = values.isfinite().all(dim=1, keepdim=True)
        low = torch.where(finite, values, torch.inf).amin(dim=0)
        high = torch.where(finite, values, -torch.inf).amax(dim=0)
        values = torch.where(finite, values, low)
    low = low.double()
    size = (high.double() - low).clamp(min=1e-300)
    codes = torch.empty(len(values), dtype=torch.int64, device=values.device)
    # In blocks that stay in the cache of a CPU.
    block = BLOCK if values.device.type == "cpu" else len(values)
    for part, code in zip(values.split(block), codes.split(block), strict=True):
        cells = ((part.double() - low) / size * (2**BITS - 1)).long()
        for shift, mask in SPREAD:
            cells = (cells | cells << shift) & mask
        torch.bitwise_or(cells[:, 0] | cells[:, 1] << 1, cells[:, 2] << 2, out=code)
    return torch.argsort(codes, stable=True)
