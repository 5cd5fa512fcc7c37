"""Ctrl-C and SIGTERM end a run after the step at hand, so that its state is whole when it is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_signals(request_stop: Callable[[str], None]) -> Iterator[None]:
    """Calls `request_stop` with the signal's name at the first SIGINT or SIGTERM; a second one acts as usual.

    Only the main thread may set signal handlers; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: object) -> None:
        restore()
        request_stop(signal.Signals(number).name)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
