"""Freed memory goes back to the system."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from splat.viewer.trim import trim


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone keeps it")
def test_memory_freed_below_what_is_still_used_is_given_back() -> None:
    pieces = [bytes(20_000) for _ in range(4000)]
    last = pieces.pop()
    pieces.clear()
    before = resident()
    assert list(trim()) == [None]
    assert before - resident() > 40e6
    assert len(last) == 20_000
