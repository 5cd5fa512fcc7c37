"""The command line as tests use it."""

from __future__ import annotations

import subprocess
import sys

#: Words for `splat train` that keep the made-up capture's own 120 points instead of adding 20,000.
SMALL = ("--init.few-points", "0", "--save.log-every", "5")


def splat(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, as a person's shell does."""
    command = [sys.executable, "-m", "splat", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
