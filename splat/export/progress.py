"""What an export tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

T = TypeVar("T")


class Progress:
    """Says nothing; the command line's says it all."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterable[T]:
        """The items, as they are gone through."""
        return items

    def during(self, what: str) -> AbstractContextManager[None]:
        """Around something of which nobody knows how far it is."""
        return nullcontext()
