"""The CPU benchmark runs, and writes what it measured in the form that others read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGES = {"project", "tiles", "blend", "loss", "blend backward", "project backward", "adam", "python", "step", "render"}


def run(*arguments: str, data: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "bench_cpu.py"
    environment = {**os.environ, "SPLAT_DATA": data, "SPLAT_VALIDATE": "0"}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="the ceilings need a C++ compiler")
def test_one_scene(data, tmp_path):
    scene = "garden-20k 320x240"
    done = run("--scene", scene, "--seconds", "0.01", "--json", str(tmp_path / "cpu.json"), data=str(data))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert all(value > 0 for threads in ("1", "2") for value in found["ceilings"][threads].values())
    on_two = {result["stage"]: result for result in found["results"] if result["threads"] == 2}
    assert on_two.keys() >= STAGES
    assert {result["scene"] for result in on_two.values()} == {scene}
    for result in on_two.values():
        assert 0 < result["splat_ms"] <= result["median_ms"]
    step = on_two["step"]
    assert 0 < step["goal_ms"] < step["first_ms"] < step["peer_ms"]
    # The whole takes at least as long as the largest part.
    assert step["splat_ms"] >= on_two["blend backward"]["splat_ms"]
    assert "| what must be reached" in done.stdout


@pytest.mark.slow
def test_missing_data_is_named(tmp_path):
    done = run(data=str(tmp_path))
    assert done.returncode != 0
    assert "SPLAT_DATA must name the folder" in done.stderr and "Traceback" not in done.stderr
