"""A run made by the command line itself, for the commands that need one."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import SMALL

from splat.cli.main import main


@pytest.fixture(scope="session")
def run(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the made-up capture; not to be written to."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", str(capture), "-o", str(folder), "--iterations", "20", "--test-every", "5", *SMALL]) == 0
    return folder
