"""What this machine can do at best: compiles scripts/ceilings.cpp for the library's instruction set and runs it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splat.errors import SplatError

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++20", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-pthread"]
ISA_FLAGS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"],
}


@dataclass(frozen=True)
class Ceilings:
    """Of all threads together.

    Attributes:
        fma_gflops: float32 multiply-adds, two operations each.
        triad_gbs: a = b + s c through memory, 12 bytes an element.
        exp_gs: our exp, 1e9 a second, in the first-level cache.
        pairs_gs: pixel-Gaussian pairs blended, 1e9 a second, in the first-level cache.
    """

    fma_gflops: float
    triad_gbs: float
    exp_gs: float
    pairs_gs: float


def measure_ceilings(isa: str, thread_counts: list[int], cpu_time: bool) -> dict[int, Ceilings]:
    """By number of threads, with the instruction set that the library runs with.

    Args:
        cpu_time: count the time that each thread spent on a core, not the time that passed.
    """
    clock = ["cpu"] if cpu_time else []
    return {threads: Ceilings(**run_program("ceilings.cpp", isa, str(threads), *clock)) for threads in thread_counts}


def run_program(source: str, isa: str, *arguments: str) -> dict[str, Any]:
    """Compiles a C++ file beside this one for an instruction set, runs it and returns the JSON object it prints."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program"
        command = [os.environ.get("CXX", "c++"), *FLAGS, *ISA_FLAGS[isa], f"-DSPLAT_ISA={isa}"]
        command += [f"-I{ROOT / 'cuda' / 'include'}", str(ROOT / "scripts" / source), "-o", str(program)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise SplatError(f"scripts/{source} did not compile: {built.stderr.strip()}")
        return json.loads(subprocess.check_output([str(program), *arguments]))
