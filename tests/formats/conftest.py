"""Other people's readers and writers of splat files, from tests/oracles."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import unavailable

ORACLES = Path(__file__).resolve().parents[1] / "oracles"


@pytest.fixture(scope="session")
def node() -> Callable[..., str]:
    """Runs Node on a script of tests/oracles, with arguments; gives its output."""
    program = shutil.which("node")
    if program is None or not (ORACLES / "node_modules").is_dir():
        unavailable("node", "other people's readers are not installed: npm ci --prefix tests/oracles")

    def run(script: str, *arguments: object) -> str:
        command = [str(program), str(ORACLES / script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def transform(node: Callable[..., str]) -> Callable[[Path, Path], None]:
    """PlayCanvas' converter, from one file to another."""

    def run(source: Path, target: Path) -> None:
        node("node_modules/@playcanvas/splat-transform/bin/cli.mjs", "-w", "-g", "cpu", source, target)

    return run
