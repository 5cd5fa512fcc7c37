"""The viewer's link: said, and opened where there is a screen."""

from __future__ import annotations

import os
import sys
import threading

from splat.cli.output import say
from splat.errors import SplatError

#: Reached from this machine only, and from wherever there is a network.
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"


def shared_host(host: str = LOOPBACK) -> str:
    """The address to listen on for --share."""
    if host != LOOPBACK:
        raise SplatError("--share listens on all addresses of this machine; leave --host out, or leave --share out")
    return EVERYWHERE


def has_screen() -> bool:
    """Whether a browser opened here would be seen by anybody."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def announce(text: str) -> None:
    """Says what the viewer has to say, and opens its link where there is a screen to open it on."""
    say(text)
    link = next((word for word in text.split() if word.startswith("http:")), None)
    if link is not None and has_screen() and sys.stderr.isatty():
        import webbrowser

        webbrowser.open(link)


def wait_for_interrupt(text: str) -> None:
    """Says why and waits until Ctrl-C, which is the expected end and no error."""
    try:
        say(text)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
