"""`splat view`: a run or a scene file in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from splat.cli.browser import announce
from splat.cli.options import Device, parse

EXAMPLES = """\
  splat view run
  splat view scene.ply --port 9000"""


@dataclass
class View:
    """Shows a run or a scene file in the browser, at an address on this machine, until Ctrl-C."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Run's folder or scene file."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this lets the network knock; the link's token still keeps it out."""
    port: int | None = None
    """Port; 8080 or the next free one if not given."""
    device: Device = "auto"
    """Where to render: auto takes an NVIDIA GPU where Splat's kernels run on one, else the CPU."""


def main(arguments: Sequence[str]) -> None:
    options = parse(View, "view", arguments, EXAMPLES)
    from splat.native import pick_device
    from splat.viewer.server import view

    device = str(pick_device(options.device))
    view(options.scene, host=options.host, port=options.port, device=device, announce=announce)
