"""`splat serve`: exported files for browsers, on this machine or for the phone beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from splat.cli.browser import EVERYWHERE, LOOPBACK, announce
from splat.cli.options import parse
from splat.errors import SplatError

EXAMPLES = """\
  splat serve scene.html --share            (a phone in the same network opens it by the QR code)
  splat serve out/ --port 9000"""


@dataclass
class Serve:
    """Serves a file, or the files in a folder, at an address on this machine, until Ctrl-C. It serves nothing else, no
    hidden files, and only to those who have the link."""

    path: Annotated[Path, tyro.conf.Positional]
    """File or folder, such as what `splat export` wrote."""
    share: bool = False
    """Let phones and other machines in the same network look, by a QR code. The link is as good as a password and
    travels unencrypted."""
    port: int | None = None
    """Port; 8080 or the next free one if not given."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Serve, "serve", arguments, EXAMPLES)
    from splat.export.server import Server, Shelf
    from splat.viewer.gate import bind, own_address

    if not options.path.exists():
        raise SplatError(f"{options.path} does not exist; check the path")
    listener = bind(EVERYWHERE if options.share else LOOPBACK, options.port)
    shelf = Shelf(options.path, options.share)
    address = own_address() if options.share else LOOPBACK
    link = f"http://{address}:{listener.getsockname()[1]}/{shelf.token}/"
    with Server(shelf, listener) as server:
        whom = "For whoever is in the same network and has this link" if options.share else "On this machine"
        try:
            announce(f"{whom}, until Ctrl-C: {link}", shared=options.share)
            server.serve_forever()
        except KeyboardInterrupt:
            pass
