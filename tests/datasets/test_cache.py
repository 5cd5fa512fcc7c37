"""The image cache: bounded, shared between threads, ahead of its use."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from splat.datasets.cache import ImageCache

SIZE = 100


def entry(index: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    return torch.full((SIZE,), index % 256, dtype=torch.uint8), None


def test_never_more_than_the_limit_and_the_oldest_go_first() -> None:
    decoded: list[int] = []

    def decode(index: int):
        decoded.append(index)
        return entry(index)

    cache = ImageCache(decode, 3 * SIZE)
    for index in (0, 1, 2, 0, 3):  # 1 is the one not used for longest.
        assert (cache.get(index)[0] == index).all()
        assert cache.bytes <= 3 * SIZE
    cache.get(0)
    assert decoded == [0, 1, 2, 3]
    cache.get(1)
    assert decoded == [0, 1, 2, 3, 1]


def test_an_entry_larger_than_the_limit_is_still_given() -> None:
    cache = ImageCache(entry, SIZE // 2)
    for index in range(3):
        assert (cache.get(index)[0] == index).all()
        assert cache.bytes == SIZE


def test_masks_count() -> None:
    cache = ImageCache(lambda index: (entry(index)[0], torch.zeros(50, dtype=torch.uint8)), 1000)
    cache.get(0)
    assert cache.bytes == 150


def test_each_is_decoded_once_however_many_ask() -> None:
    calls: list[int] = []
    gate = threading.Event()

    def decode(index: int):
        calls.append(index)
        assert gate.wait(10)
        return entry(index)

    cache = ImageCache(decode, 1000 * SIZE)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.get, index % 4) for index in range(32)]
        gate.set()
        assert [int(future.result()[0][0]) for future in futures] == [index % 4 for index in range(32)]
    assert sorted(calls) == [0, 1, 2, 3]


def test_prefetching_decodes_before_it_is_asked_for() -> None:
    done = threading.Event()

    def decode(index: int):
        if index == 5:
            done.set()
        return entry(index)

    cache = ImageCache(decode, 1000 * SIZE)
    cache.prefetch([4, 5])
    assert done.wait(10)
    assert (cache.get(5)[0] == 5).all()


def test_prefetching_respects_the_limit_while_nothing_is_taken() -> None:
    last = threading.Event()

    def decode(index: int):
        if index == 49:
            last.set()
        return entry(index)

    cache = ImageCache(decode, 2 * SIZE)
    cache.prefetch(range(50))
    assert last.wait(10)
    assert (cache.get(49)[0] == 49).all()
    assert cache.bytes <= 2 * SIZE


def test_a_failure_is_raised_each_time_and_may_be_mended() -> None:
    broken = {7}

    def decode(index: int):
        if index in broken:
            raise OSError("damaged")
        return entry(index)

    cache = ImageCache(decode, 1000)
    cache.prefetch([7])
    for _ in range(2):
        with pytest.raises(OSError, match="damaged"):
            cache.get(7)
    broken.clear()
    assert (cache.get(7)[0] == 7).all()
