"""Sizes and times as people write them, and what they mean in Gaussians."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splat.budget import FILE_COSTS, Budget, fit_size, parse_bytes, parse_seconds
from splat.errors import SplatError
from splat.formats import write
from splat.gaussians import Gaussians

DEGREES = range(3, -1, -1)
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@given(st.integers(0, 10**6), st.sampled_from(list(UNITS)), st.booleans(), st.sampled_from([str, str.lower, str.upper]))
def test_sizes_mean_what_their_units_say(number: int, unit: str, spaced: bool, case) -> None:
    assert parse_bytes(case(f" {number}{' ' * spaced}{unit}")) == number * UNITS[unit]


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.sampled_from(["", " "]))
def test_times_add_up(hours: int, minutes: int, seconds: int, between: str) -> None:
    words = between.join([f"{hours}h", f"{minutes}min", f"{seconds}s"])
    assert parse_seconds(words) == 3600 * hours + 60 * minutes + seconds
    assert parse_seconds(f"{minutes}m") == parse_seconds(f"{60 * minutes} S") == 60 * minutes


def test_fractions() -> None:
    assert parse_bytes("1.5GB") == 1_500_000_000
    assert parse_seconds("1.5h") == 5400


@given(st.text(max_size=12))
def test_any_other_text_is_refused_in_one_sentence(text: str) -> None:
    for parse in (parse_bytes, parse_seconds):
        try:
            assert parse(text) >= 0
        except SplatError as error:
            assert "write it like" in str(error)


@pytest.mark.parametrize("text", ["", "15", "MB", "-5MB", "1e3MB", "15 megabytes", "5min", "nan MB", "9" * 400 + "MB"])
def test_no_size(text: str) -> None:
    with pytest.raises(SplatError, match="is no size; write it like 15MB"):
        Budget(target_size=text)


@pytest.mark.parametrize("text", ["", "5", "min", "-5s", "30s 1h", "5MB", "1h30", "9" * 400 + "h"])
def test_no_time(text: str) -> None:
    with pytest.raises(SplatError, match="is no duration; write it like 90s"):
        Budget(target_time=text)


def test_a_budget_is_true_if_anything_is_asked() -> None:
    assert not Budget()
    assert all(
        [Budget(target_size="1MB"), Budget(target_vram="1GB"), Budget(target_device="phone"), Budget(target_time="1s")]
    )


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("file_format", sorted(FILE_COSTS))
def test_as_many_fit_as_are_written(file_format: str, degree: int, tmp_path: Path) -> None:
    """Against the writer: what is said to fit does, and with 2.5 KB of Gaussians more it would not."""
    size, cost = 123_456, FILE_COSTS[file_format]
    count = cost.gaussians(size, degree)
    path = tmp_path / f"scene.{file_format}"
    for number, fits in ((count, True), (count + 1 + int(2500 / cost.per_gaussian[degree]), False)):
        random = torch.Generator().manual_seed(degree)
        shapes = ((3,), (4,), (3,), (), ((degree + 1) ** 2, 3))
        write(Gaussians(*(torch.randn(number, *shape, generator=random) for shape in shapes)), path)
        assert (path.stat().st_size <= size) == fits


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 10**6))
def test_more_bytes_never_hold_fewer_gaussians_nor_lower_degrees(first: int, second: int, wanted: float) -> None:
    small, large = sorted((first, second))
    for degree in range(5):
        assert fit_size(small, [degree], wanted) <= fit_size(large, [degree], wanted)
    assert fit_size(small, DEGREES, wanted)[1] <= fit_size(large, DEGREES, wanted)[1]


@given(st.integers(0, 10**9), st.floats(0, 10**6))
def test_the_degree_is_the_highest_that_has_room(size: int, wanted: float) -> None:
    count, degree = fit_size(size, DEGREES, wanted)
    assert count >= wanted or degree == 0
    assert all(fit_size(size, [higher], wanted)[0] < wanted for higher in range(degree + 1, 4))
