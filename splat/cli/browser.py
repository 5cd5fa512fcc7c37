"""A server's link: said, opened where there is a screen, drawn for a phone where it is shared."""

from __future__ import annotations

import os
import sys
import threading
from importlib.util import find_spec

from splat.cli.needs import install_line
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


def announce(text: str, *, shared: bool = False) -> None:
    """Says what a server has to say. Its link is opened where there is a screen to open it on; a shared one is drawn
    for a phone's camera."""
    say(text)
    link = next((word for word in text.split() if word.startswith("http:")), None)
    if link is None:
        return
    if shared:
        _draw(link)
    elif has_screen() and sys.stderr.isatty():
        import webbrowser

        webbrowser.open(link)


def _draw(link: str) -> None:
    """A QR code in the terminal."""
    if find_spec("segno") is None:
        say(f"With segno it would be a QR code, too: {install_line('viewer')}")
        return
    import segno

    segno.make(link, error="l").terminal(out=sys.stderr, compact=True, border=2)


def wait_for_interrupt(text: str) -> None:
    """Says why and waits until Ctrl-C, which is the expected end and no error."""
    try:
        say(text)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
