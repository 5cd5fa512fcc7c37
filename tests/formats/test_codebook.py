"""Codebooks keep their bound; palettes find clusters and come close to what all pairs would give."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.formats import codebook


@settings(max_examples=30)
@given(st.lists(st.floats(-100, 100, width=32), max_size=300), st.floats(0.01, 10))
def test_no_value_is_further_off_than_a_step(values: list[float], step: float) -> None:
    numbers = torch.tensor(values)
    book, codes = codebook.even(numbers, step)
    used = int(codes.max()) + 1 if values else 0
    assert book.shape == (256,) and (book[:used].diff() > 0).all()
    # Where the range needs more than 256 steps that are in use, they are wider.
    widest = max(step, 1.1 * 200 / 256)
    assert ((book[codes.long()] - numbers).abs() <= widest + 1e-4).all()


def test_a_codebook_of_few_values_is_exact() -> None:
    numbers = torch.tensor([[-20.0, 3.0], [3.0, 7.5]])
    book, codes = codebook.even(numbers, 0.05)
    assert torch.equal(book[codes.long()], numbers)


@pytest.mark.parametrize("outlier", [1e6, -1e30, 3e38])
def test_an_outlier_takes_one_entry(outlier: float) -> None:
    numbers = torch.cat([torch.linspace(0, 1, 100), torch.tensor([outlier])])
    book, codes = codebook.even(numbers, 0.01)
    assert book[codes[-1].long()] == torch.tensor(outlier)
    assert ((book[codes.long()] - numbers)[:-1].abs() <= 0.005).all()


def test_values_beyond_the_size_widen_the_steps_and_no_more() -> None:
    numbers = torch.linspace(0, 1, 100_000)
    book, codes = codebook.even(numbers, 1e-5)
    assert len(codes.unique()) > 230
    assert (book[codes.long()] - numbers).abs().max() < 1 / 230


def clusters(count: int, each: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(count, 9, generator=generator)
    points = centres.repeat(each, 1)
    return centres, points + noise * torch.randn(points.shape, generator=generator)


def test_a_palette_finds_clusters() -> None:
    _, points = clusters(200, 20, 1e-3)
    entries, labels = codebook.palette(points, torch.ones(len(points)), 400)
    assert entries.shape == (400, 9)
    error = (points - entries[labels]).square().mean()
    assert error < 0.1 * points.var()


def test_a_palette_is_near_what_all_pairs_give() -> None:
    points = torch.randn(4000, 9, generator=torch.Generator().manual_seed(1))
    entries, labels = codebook.palette(points, torch.ones(len(points)), 256)
    best = torch.cdist(points, entries).min(1).values.square().sum()
    assert (points - entries[labels]).square().sum() < 1.05 * best
    drawn = points[torch.randperm(4000, generator=torch.Generator().manual_seed(2))[:256]]
    assert best < 0.8 * torch.cdist(points, drawn).min(1).values.square().sum()


def test_weights_draw_the_palette() -> None:
    points = torch.randn(4000, 9, generator=torch.Generator().manual_seed(1))
    weights = torch.where(points[:, 0] > 0, 100.0, 0.0)
    entries, labels = codebook.palette(points, weights, 128)
    error = (points - entries[labels]).square().sum(1)
    assert error[weights > 0].mean() < 0.8 * error[weights == 0].mean()


def test_a_palette_is_the_same_on_every_run() -> None:
    _, points = clusters(50, 40, 0.1)
    first, second = (codebook.palette(points, torch.ones(len(points)), 100) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize("weights", [torch.zeros(500), torch.full((500,), 1e30), torch.ones(500)])
def test_equal_points_and_odd_weights(weights: torch.Tensor) -> None:
    points = torch.ones(500, 9)
    points[:250] = 2
    entries, labels = codebook.palette(points, weights, 100)
    assert torch.equal(entries[labels], points)


def test_fewer_points_than_entries_are_kept() -> None:
    points = torch.randn(5, 3)
    entries, labels = codebook.palette(points, torch.ones(5), 8)
    assert torch.equal(entries[labels], points)
