"""Decoded images, a bounded number of bytes of them, decoded ahead of their use by background threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import RLock

import torch
from torch import Tensor

Pixels = tuple[Tensor, Tensor | None]


class ImageCache:
    """Image and mask by index, least recently used dropped first. May be used from several threads.

    Args:
        decode: makes an entry; called in a background thread.
        limit: bytes that are kept.
    """

    def __init__(self, decode: Callable[[int], Pixels], limit: int) -> None:
        self._decode, self._limit = decode, limit
        self._entries: OrderedDict[int, Future[Pixels]] = OrderedDict()
        self._lock = RLock()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode")

    def get(self, index: int) -> Pixels:
        """Waits for the entry. A photo that cannot be decoded raises here, at each attempt."""
        future = self._request(index)
        try:
            pixels = future.result()
        except BaseException:
            with self._lock:
                self._entries.pop(index, None)
            raise
        self._shrink()
        return pixels

    def prefetch(self, indices: Iterable[int]) -> None:
        """Begins decoding, in this order, and returns at once."""
        for index in indices:
            self._request(index)

    @property
    def bytes(self) -> int:
        """What the decoded entries take."""
        with self._lock:
            return sum(_size(future) for future in self._entries.values())

    def _request(self, index: int) -> Future[Pixels]:
        with self._lock:
            if index not in self._entries:
                future = self._pool.submit(self._decode, index)
                self._entries[index] = future
                # Entries that are decoded ahead count as soon as they are there, not only once they are used.
                future.add_done_callback(lambda _: self._shrink())
            self._entries.move_to_end(index)
            return self._entries[index]

    def _shrink(self) -> None:
        """Drops the oldest decoded entries beyond the limit, but never the newest."""
        with self._lock:
            total = sum(_size(future) for future in self._entries.values())
            for index in list(self._entries)[:-1]:
                if total <= self._limit:
                    break
                if self._entries[index].done():
                    total -= _size(self._entries.pop(index))


def _size(future: Future[Pixels]) -> int:
    if not future.done() or future.cancelled() or future.exception() is not None:
        return 0
    return sum(tensor.numel() for tensor in future.result() if isinstance(tensor, torch.Tensor))
