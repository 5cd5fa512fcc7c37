"""What commands print: a report on stdout for people or, with --json, for programs; everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def reporting(as_json: bool) -> Iterator[Callable[[dict[str, Any], str], None]]:
    """Gives a function `report(values, text)` that prints one of them on stdout.

    With `as_json`, stdout is stderr for everybody else meanwhile, C++ libraries included, so that what a program reads
    is the one JSON object. Values that JSON has no word for (NaN, infinities) become null.
    """

    def text_report(values: dict[str, Any], text: str) -> None:
        print(text)

    if not as_json:
        yield text_report
        return
    sys.stdout.flush()
    real = os.dup(1)

    def json_report(values: dict[str, Any], text: str) -> None:
        line = json.dumps(_plain(values), allow_nan=False, ensure_ascii=False) + "\n"
        with open(real, "w", encoding="utf-8", closefd=False) as stream:
            stream.write(line)

    os.dup2(2, 1)
    try:
        yield json_report
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


def _plain(value: Any) -> Any:
    """The same values in types and numbers that JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def say(text: str) -> None:
    """One line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


def warn(sentences: Iterable[str]) -> None:
    """What was carried on without, one sentence each."""
    for sentence in sentences:
        say(f"warning: {sentence}")


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items, with a bar and the time left on stderr; where that is no terminal, one line before."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"{what} ({total})")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("left"), console=console, disable=not console.is_terminal) as bar:
        yield from bar.track(items, total=total, description=what)


@contextmanager
def during(what: str) -> Iterator[None]:
    """What is being done and since when, on stderr, while nobody knows how much of it is done; where that is no
    terminal, one line before."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        say(what)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as spinner:
        spinner.add_task(what, total=None)
        yield


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def amount(unit: str, used: float | None) -> str:
    """What was used of a part of a budget, as people read it; see `splat.train.spending.Spent`."""
    if used is None:
        return "not measured"
    if unit == "bytes":
        return size(used)
    if unit == "seconds":
        minutes, seconds = divmod(round(used), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{used:,} {unit}"
