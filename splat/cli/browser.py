"""The viewer's link: said, and opened where there is a screen."""

from __future__ import annotations

import os
import sys
import threading

from splat.cli.output import say


def has_screen() -> bool:
    """Whether a browser opened here would be seen by anybody."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def announce(text: str) -> None:
    """Says what the viewer has to say, and opens its link where there is a screen to open it on."""
    say(text)
    if has_screen() and sys.stderr.isatty():
        import webbrowser

        webbrowser.open(next(word for word in text.split() if word.startswith("http")))


def wait_for_interrupt(text: str) -> None:
    """Says why and waits until Ctrl-C, which is the expected end and no error."""
    try:
        say(text)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
