"""The quality benchmark measures a cell once, in a process of its own, and writes what others read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {"scene", "method", "seed", "steps", "gaussians", "psnr", "ssim", "seconds", "cpu_seconds", "peak_mib"}


@pytest.mark.slow
def test_one_cell(capture: Path, tmp_path: Path) -> None:
    # The made-up capture in the place of a scene, and what tells a folder of benchmark data.
    (tmp_path / "data" / "garden_points").mkdir(parents=True)
    (tmp_path / "data" / "garden_points" / "garden.npz").touch()
    (tmp_path / "data" / "lego").symlink_to(capture)
    script, cache, results = ROOT / "scripts" / "bench_quality.py", tmp_path / "cache", tmp_path / "quality.json"
    command = [sys.executable, script, "--scene", "lego", "--method", "adc", "--cache", cache, "--json", results]
    environment = {**os.environ, "SPLAT_DATA": str(tmp_path / "data"), "SPLAT_VALIDATE": "0"}

    def run() -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    for measured in (True, False):
        done = run()
        assert ("psnr" in done.stderr) is measured
        (cell,) = json.loads(results.read_text())["results"]
        assert set(cell) >= FIELDS and (cell["scene"], cell["method"], cell["steps"]) == ("lego", "adc", 2000)
        assert f"| lego | adc | 1 | **{cell['psnr']:.2f}** |" in done.stdout
        assert len({line.count("|") for line in done.stdout.splitlines()}) == 1
    # A cell of another protocol counts for nothing.
    (cache / "lego-mcmc-0.json").write_text(json.dumps({"protocol": {}, "cell": {**cell, "method": "mcmc"}}))
    assert "mcmc" not in run().stdout
