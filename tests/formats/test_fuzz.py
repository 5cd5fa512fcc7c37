"""A few broken files for each reader: a scene or one sentence. scripts/fuzz_formats.py has the rest."""

from __future__ import annotations

from pathlib import Path

import fuzz_formats
import pytest

from splat.formats import FORMATS


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_broken_files_are_told(tmp_path: Path, suffix: str) -> None:
    result = fuzz_formats.run_here(suffix, range(60), 0, tmp_path)
    assert not result.failures
    # Some get through to the numbers, and some do not.
    assert result.scenes > 1 and result.errors > 1


def test_what_counts_as_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from splat.formats import ply

    def raises(path: Path) -> None:
        raise KeyError("x")

    monkeypatch.setattr(ply, "read", raises)
    result = fuzz_formats.run_here(".ply", [7], 0, tmp_path)
    assert result.failures[0]["case"] == 7 and "KeyError: 'x' (test_fuzz.py" in result.failures[0]["why"]


def test_a_case_that_ends_the_process_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are still read."""
    from splat.formats import ply

    good, calls = ply.read, []

    def ends(path: Path):
        import os

        calls.append(path)
        if len(calls) == 10:
            os.abort()
        return good(path)

    monkeypatch.setattr(ply, "read", ends)
    monkeypatch.setattr(fuzz_formats, "BOMB_BYTES", 1)
    result = fuzz_formats.run(".ply", 12, 0)
    assert result.cases == 12
    assert "ended the process: -6" in result.failures[0]["why"]
