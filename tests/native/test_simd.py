"""The vector types, as each instruction set that this CPU has compiles them: every lane does as a scalar does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import torch

SOURCE = Path(__file__).with_name("simd_vocabulary.cpp")
#: The lanes of each instruction set, and its flags.
LEVELS = {
    "DEFAULT": (4, []),
    "AVX2": (8, ["-mavx2", "-mfma"]),
    "AVX512": (16, ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]),
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("level", LEVELS)
def test_every_lane_does_as_a_scalar_does(instructions: ModuleType, level: str, tmp_path: Path) -> None:
    found = torch.backends.cpu.get_cpu_capability()
    if found not in list(LEVELS)[list(LEVELS).index(level) :]:
        pytest.skip(f"this CPU has {found}, not {level}")
    lanes, flags = LEVELS[level]
    command = [*instructions.compile_command(), "-Werror", *flags, SOURCE, "-o", tmp_path / "simd"]
    subprocess.run(command, check=True)
    ran = subprocess.run([tmp_path / "simd"], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == (f"{lanes}\n", 0)
