"""The README's Python runs as it stands, and its commands and flags exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import splat

from splat.cli.main import COMMANDS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_runs(capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import splat as library

    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene").symlink_to(capture)
    library.train("scene", "run", iterations=3)
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    namespace: dict = {}
    exec(block.replace("iterations=2000", "iterations=3"), namespace)
    assert namespace["image"].rgb.shape == (1, 480, 640, 3)
    assert namespace["scene"].means.grad is not None
    assert len(library.load(tmp_path / "bigger.ply")) == len(library.load(tmp_path / "another" / "scene.ply"))


def test_the_commands_exist() -> None:
    assert set(re.findall(r"^splat (\w+)", README, re.M)) == set(COMMANDS)


def test_the_flags_exist() -> None:
    told = splat("train", "--help").stdout
    for flag in re.findall(r"^\| `(--[\w-]+)", README, re.M):
        assert flag in told, flag


def test_it_stays_short() -> None:
    assert len(README.splitlines()) <= 200
