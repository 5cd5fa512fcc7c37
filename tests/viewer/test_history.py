"""A run's course, thinned out."""

from __future__ import annotations

import numpy as np
import pytest

from splat.viewer.history import POINTS, History


def test_a_short_run_is_kept_as_it_was() -> None:
    history = History("loss", "psnr")
    for step in range(1, 6):
        history.add(step, loss=1.0 / step, psnr=20.0 if step == 3 else None)
    steps, losses = history.curve("loss")
    assert steps.tolist() == [1, 2, 3, 4, 5] and losses.tolist() == [1 / step for step in range(1, 6)]
    assert [curve.tolist() for curve in history.curve("psnr")] == [[3], [20]]


def test_a_long_run_is_its_means_in_a_bounded_number_of_points() -> None:
    history = History("loss", "psnr")
    for step in range(1, 10_001):
        history.add(step, loss=2.0 * step, psnr=float(step) if step % 100 == 0 else None)
    steps, losses = history.curve("loss")
    assert POINTS / 2 <= len(steps) <= POINTS
    assert np.all(np.diff(steps) > 0) and losses == pytest.approx(2 * steps)
    rare, psnrs = history.curve("psnr")
    assert 10 < len(rare) <= 100 and np.abs(psnrs - rare).max() <= 10_000 / POINTS * 2
