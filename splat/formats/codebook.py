"""Few values that stand for many: codebooks of numbers and palettes of vectors of the least weighted squared error."""

from __future__ import annotations

import torch
from torch import Tensor

#: A palette's coarse cells, at most; entries in a cell, on average; and the cells among whose entries a point chooses.
MAX_CELLS = 512
ENTRIES_PER_CELL = 64
NEAR_CELLS = 4
#: Steps of k-means in a cell, and of all entries afterwards.
CELL_STEPS = 6
REFINEMENTS = 3
#: Points whose distances are found at a time.
BLOCK = 1 << 10


def even(values: Tensor, step: float, size: int = 256) -> tuple[Tensor, Tensor]:
    """A codebook of about even steps, so that no value is off by more than one of them.

    Where the indices are packed by their frequency, as WebP packs them, it takes fewer bytes for the same error than
    the codebook of a fixed size with the least error.

    Args:
        values: [...] finite.
        step: the distance of neighbours; where more than `size` of them are in use, a larger one.

    Returns:
        [size] float32, ascending as far as it is used and 0 from there on, and [...] uint8 indices into it.

    Source:
        Gish and Pierce, "Asymptotically efficient quantizing", 1968.
    """
    codebook = torch.zeros(size)
    if values.numel() == 0:
        return codebook, values.to(torch.uint8)
    while True:
        # Kept as floating point: with an outlier there may be more steps than any integer counts.
        steps, codes = torch.unique((values.double() / step).round(), return_inverse=True)
        if len(steps) <= size:
            break
        step *= max(len(steps) / size, 1.05)
    sums = torch.zeros(len(steps), dtype=torch.float64).index_add_(0, codes.flatten(), values.flatten().double())
    codebook[: len(steps)] = (sums / torch.bincount(codes.flatten())).float()
    return codebook, codes.to(torch.uint8)


def palette(points: Tensor, weights: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Vectors that come close to all points: k-means in two levels, since all pairs would be too many.

    A coarse k-means makes cells; each gets entries by its share of the error, and k-means inside of it places them.
    Then every point looks for its entry in its own cell and the nearest ones.

    Args:
        points: [N, D] float32.
        weights: [N] how much the squared error of each counts, >= 0.
        size: how many entries at most.

    Returns:
        [P, D] entries, P <= size, and [N] int64: the entry of each point. Equal on every run.

    Source:
        Lloyd, 1982; Arthur and Vassilvitskii, "k-means++", 2007, for the idea that error draws entries.
    """
    generator = torch.Generator().manual_seed(0)
    if len(points) <= size:
        return points.clone(), torch.arange(len(points))
    weights = weights.float() / weights.float().mean().clamp(min=1e-30) + 1e-6
    cells = _cells(points, weights, max(1, min(MAX_CELLS, size // ENTRIES_PER_CELL)), generator)
    owner, distance = _assign(points, cells)
    error = torch.zeros(len(cells)).index_add_(0, owner, weights * distance)
    held = torch.bincount(owner, minlength=len(cells))
    shares = _shares(error, held, size)
    order = torch.argsort(owner, stable=True)
    ends = held.cumsum(0).tolist()
    entries = []
    for cell, (end, count) in enumerate(zip(ends, shares.tolist(), strict=True)):
        members = order[end - int(held[cell]) : end]
        entries.append(_lloyd(points[members], weights[members], count, CELL_STEPS, generator))
    entries = torch.cat(entries)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), shares.cumsum(0)])
    near = torch.cdist(cells, cells).topk(min(NEAR_CELLS, len(cells)), largest=False).indices
    labels = torch.zeros(len(points), dtype=torch.int64)
    for step in range(REFINEMENTS):
        for cell, end in enumerate(ends):
            members = order[end - int(held[cell]) : end]
            if len(members) == 0:
                continue
            candidates = torch.cat([torch.arange(int(starts[c]), int(starts[c + 1])) for c in near[cell].tolist()])
            labels[members] = candidates[_assign(points[members], entries[candidates])[0]]
        if step + 1 < REFINEMENTS:
            entries = _means(points, weights, labels, entries)
    return _means(points, weights, labels, entries), labels


def _cells(points: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    sample = torch.randperm(len(points), generator=generator)[: 256 * count]
    return _lloyd(points[sample], weights[sample], count, CELL_STEPS, generator)


def _lloyd(points: Tensor, weights: Tensor, count: int, steps: int, generator: torch.Generator) -> Tensor:
    """[count, D] entries by k-means, begun at points drawn by weight."""
    if count >= len(points):
        return points
    drawn = torch.multinomial(weights, count, generator=generator)
    entries = points[drawn]
    for _ in range(steps):
        labels, _ = _assign(points, entries)
        entries = _means(points, weights, labels, entries)
    return entries


def _assign(points: Tensor, entries: Tensor) -> tuple[Tensor, Tensor]:
    """[N] the nearest entry of each point and [N] its squared distance."""
    labels, distances = torch.empty(len(points), dtype=torch.int64), torch.empty(len(points))
    squares = entries.square().sum(1)
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        block = torch.addmm(squares, points[rows], entries.T, alpha=-2)
        # NumPy looks for the least of a row nine times faster.
        labels[rows] = torch.from_numpy(block.numpy().argmin(1))
        distances[rows] = block.gather(1, labels[rows, None])[:, 0] + points[rows].square().sum(1)
    return labels, distances.clamp_(min=0)


def _means(points: Tensor, weights: Tensor, labels: Tensor, entries: Tensor) -> Tensor:
    """[P, D] weighted mean of the points of every entry; the entry itself where it has none."""
    sums = torch.zeros(entries.shape)
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        sums.index_add_(0, labels[rows], points[rows] * weights[rows, None])
    mass = torch.zeros(len(entries)).index_add_(0, labels, weights)
    return torch.where(mass[:, None] > 0, sums / mass[:, None].clamp(min=1e-30), entries)


def _shares(error: Tensor, held: Tensor, size: int) -> Tensor:
    """How many of `size` entries each cell gets: by its error, at least one, at most one a point that it holds."""
    shares = torch.minimum((error / error.sum().clamp(min=1e-30) * size).long().clamp(min=1), held)
    while (left := size - int(shares.sum())) != 0:
        room = (held - shares) if left > 0 else (shares - 1).clamp(min=0)
        most = torch.argsort(
            torch.where(room > 0, error / shares.clamp(min=1), -1.0 if left > 0 else torch.inf), descending=left > 0
        )
        chosen = most[: min(abs(left), int((room > 0).sum()))]
        if len(chosen) == 0:
            break
        shares[chosen] += 1 if left > 0 else -1
    return shares
