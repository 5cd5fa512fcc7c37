"""`splat view`: a run or a scene file in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from splat.cli.options import Device, parse

EXAMPLES = """\
  splat view run
  splat view scene.ply --port 9000"""


@dataclass
class View:
    """Shows a run or a scene file in the browser, at an address on this machine, until Ctrl-C."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Run's folder or scene file."""
    port: int = 8080
    """Port on 127.0.0.1."""
    device: Device = "auto"
    """Where to render."""


def main(arguments: Sequence[str]) -> None:
    options = parse(View, "view", arguments, EXAMPLES)
