"""The kernels on 64-bit ARM: cross-compiled with NEON by setup.py, run by qemu, and compared with what runs here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import unavailable

ROOT = Path(__file__).resolve().parents[2]
#: The commands, and Debian's packages of them.
TOOLS = {"aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu", "qemu-aarch64-static": "qemu-user-static"}
CROSS, QEMU = TOOLS
#: Has setup.py build the kernels in a folder as if it ran on ARM. The bindings would need torch for it.
BUILD = """
import platform, subprocess, sys, setuptools
from pathlib import Path
platform.machine = lambda: "aarch64"
setuptools.setup = lambda **_: None
import setup
folder = Path(sys.argv[1])
(folder / "build.ninja").write_text(setup.ninja_file(setup.torch_folder()))
kernels = [f"{unit.name}.o" for unit in setup.cpu_units() if unit.source.is_relative_to(setup.ROOT / "cuda/cpu")]
sys.exit(subprocess.run([setup.ninja(), "-C", folder, *kernels]).returncode)
"""
#: A pixel is the sum of some hundred terms, and NEON's fma rounds once where baseline x86 rounds twice.
TOLERANCE = 1e-4

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="qemu runs programs of Linux")]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with the kernels for ARM; no warning is let pass."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            unavailable("aarch64", f"{tool} ({package}) is not on PATH: nothing is compiled for ARM")
    folder = tmp_path_factory.mktemp("aarch64")
    environment = os.environ | {"CXX": f"{CROSS} -Werror"}
    ran = subprocess.run(
        [sys.executable, "-c", BUILD, folder], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_every_lane_does_as_a_scalar_does(instructions: ModuleType, build: Path) -> None:
    source, program = Path(__file__).with_name("simd_vocabulary.cpp"), build / "simd"
    subprocess.run([*instructions.compile_command(build), "-static", source, "-o", program], check=True)
    ran = subprocess.run([QEMU, program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("4\n", 0)


def results_of(program: Path, folder: Path, scene: tuple[int, int, int], *emulator: str) -> dict[str, np.ndarray]:
    """What a driver computes at its baseline, by name."""
    folder.mkdir()
    environment = os.environ | {"SPLAT_CPU_ISA": "baseline"}
    command = [*emulator, program, *map(str, scene), folder]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return {file.stem: np.fromfile(file, np.float32) for file in folder.glob("*.f32")}


def test_a_training_step_gives_what_it_gives_here(instructions: ModuleType, build: Path, tmp_path: Path) -> None:
    instructions.build_driver(tmp_path / "driver")
    instructions.build_driver(build / "driver", build, ("-static",))
    here = results_of(tmp_path / "driver", tmp_path / "here", instructions.SCENE)
    arm = results_of(build / "driver", tmp_path / "arm", instructions.SCENE, QEMU)
    assert here.keys() == arm.keys() >= {"image", "v_means", "v_sh", "means"}
    for name, expected in here.items():
        assert np.isfinite(arm[name]).all() and np.linalg.norm(expected) > 0, name
        assert np.linalg.norm(arm[name] - expected) <= TOLERANCE * np.linalg.norm(expected), name
