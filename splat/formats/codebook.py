"""Few values that stand for many: codebooks of numbers and palettes of vectors of the least weighted squared error."""

from __future__ import annotations

import torch
from torch import Tensor

#: Bins of the histogram that a codebook is fitted to, and steps until it no longer moves much.
BINS = 1 << 14
STEPS = 100
#: A palette's coarse cells, at most; entries in a cell, on average; and the cells among whose entries a point chooses.
MAX_CELLS = 256
ENTRIES_PER_CELL = 64
NEAR_CELLS = 4
#: Steps of k-means in a cell, and of all entries afterwards.
CELL_STEPS = 6
REFINEMENTS = 3
#: Points whose distances are found at a time.
BLOCK = 1 << 12


def numbers(values: Tensor, weights: Tensor, size: int = 256) -> Tensor:
    """The numbers that come closest to all values.

    Lloyd's algorithm on a histogram, from where the asymptotic theory has the optimum: as dense as the cube root of the
    values' density.

    Args:
        values: [M] finite.
        weights: [M] how much the squared error of each counts, >= 0.
        size: how many numbers.

    Returns:
        [size] float32, ascending.

    Source:
        Lloyd, "Least squares quantization in PCM", 1982; Panter and Dite, "Quantization distortion in pulse-count
        modulation with nonuniform spacing of levels", 1951.
    """
    values, weights = values.double(), weights.double()
    if len(values) == 0:
        return torch.zeros(size)
    low, high = values.aminmax()
    if high - low < 1e-12 * high.abs().clamp(min=1e-12):
        return low.float().expand(size).clone()
    bins = ((values - low) * (BINS / (high - low))).long().clamp(max=BINS - 1)
    mass = torch.bincount(bins, weights, BINS)
    moment = torch.bincount(bins, weights * values, BINS)
    rank = mass.pow(1 / 3).cumsum(0)
    targets = (torch.arange(size, dtype=torch.float64) + 0.5) / size * rank[-1]
    edges = torch.linspace(float(low), float(high), BINS + 1, dtype=torch.float64)
    codebook = edges[torch.searchsorted(rank, targets).clamp(max=BINS - 1)]
    mass, moment = (torch.cat([torch.zeros(1, dtype=torch.float64), part.cumsum(0)]) for part in (mass, moment))
    for _ in range(STEPS):
        middles = (codebook[1:] + codebook[:-1]) / 2
        cuts = torch.cat([torch.tensor([0]), torch.searchsorted(edges, middles), torch.tensor([BINS])])
        weight = mass[cuts].diff()
        means = torch.where(weight > 0, moment[cuts].diff() / weight.clamp(min=1e-300), codebook)
        # Differences of sums leave a little noise where nothing is, and its quotient may be anything.
        codebook = means.clamp(edges[cuts[:-1]], edges[cuts[1:]])
        codebook = codebook.sort().values
    return codebook.float()


def nearest(codebook: Tensor, values: Tensor) -> Tensor:
    """[...] uint8 index of the number of an ascending codebook that is closest to each value."""
    return torch.bucketize(values.contiguous(), (codebook[1:] + codebook[:-1]) / 2).to(torch.uint8)


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
    labels = torch.empty(len(points), dtype=torch.int64)
    distances = torch.empty(len(points))
    squares = entries.square().sum(1)
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        block = torch.addmm(squares, points[rows], entries.T, alpha=-2)
        distances[rows], labels[rows] = block.min(1)
        distances[rows] += points[rows].square().sum(1)
    return labels, distances.clamp_(min=0)


def _means(points: Tensor, weights: Tensor, labels: Tensor, entries: Tensor) -> Tensor:
    """[P, D] weighted mean of the points of every entry; the entry itself where it has none."""
    sums = torch.zeros_like(entries).index_add_(0, labels, points * weights[:, None])
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
