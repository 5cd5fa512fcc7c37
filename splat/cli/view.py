"""`splat view`: a run or a scene file in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from splat.cli.browser import LOOPBACK, announce, shared_host
from splat.cli.options import Device, parse

EXAMPLES = """\
  splat view run
  splat view scene.ply --port 9000
  splat view run --share                                 for others in the same network"""


@dataclass
class View:
    """Shows a run or a scene file in the browser, at an address on this machine, until Ctrl-C."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Run's folder or scene file."""
    host: str = LOOPBACK
    """Address to listen on. Any other than this lets the network knock; the link's token still keeps it out."""
    share: bool = False
    """Let other machines look: listens on all addresses of this one. The link is as good as a password and travels
    unencrypted."""
    port: int | None = None
    """Port; 8080 or the next free one if not given."""
    device: Device = "auto"
    """Where to render: auto takes an NVIDIA GPU where Splat's kernels run on one, else the CPU."""


def main(arguments: Sequence[str]) -> None:
    options = parse(View, "view", arguments, EXAMPLES)
    from splat.native import pick_device
    from splat.viewer.server import view

    host = shared_host(options.host) if options.share else options.host
    device = str(pick_device(options.device))
    view(options.scene, host=host, port=options.port, device=device, announce=partial(announce, shared=options.share))
