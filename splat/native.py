"""The compiled library: finding it, loading it, saying what it is, and checking what it returns.

The kernels register themselves as `torch.ops.splat.*` when the library is loaded; each module of `splat.ops` calls
`load()` before it adds shapes and gradients to its ops. Set SPLAT_CPU_ISA to baseline, avx2 or avx512 to force an
instruction set, and SPLAT_VALIDATE=1 to have every result of every op searched for NaN and infinity.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from splat.errors import SplatError

NAMES = {"win32": "splat_cpu.dll", "darwin": "libsplat_cpu.dylib"}
PATH = Path(__file__).resolve().parent / "_native" / NAMES.get(sys.platform, "libsplat_cpu.so")
BUILD = "`make native` in a clone, or `pip install --no-build-isolation .` beside an installed torch"
VALIDATE = os.environ.get("SPLAT_VALIDATE") == "1"


@dataclass(frozen=True)
class Native:
    """What `describe` found.

    Attributes:
        path: where the library is, or should be.
        isa: the instruction set that runs ("baseline", "avx2", "avx512"); empty if the library can't be used.
        threads: size of torch's thread pool, which the kernels share.
        problem: one sentence saying why the library can't be used and what to do; empty if it can.
    """

    path: Path
    isa: str
    threads: int
    problem: str


@cache
def load() -> None:
    """Loads the library, once.

    Raises:
        ImportError: it was never built, or this torch can't load it; says how to build it.
    """
    if not PATH.exists():
        raise ImportError(f"Splat's native library is not built ({PATH} is missing): {BUILD}.")
    try:
        torch.ops.load_library(PATH)
    except OSError as error:
        raise ImportError(f"Splat's native library does not load: {error}. Build it anew: {BUILD}.") from error


def describe() -> Native:
    """The library as it is on this machine; never raises."""
    isa = problem = ""
    try:
        load()
        isa = torch.ops.splat.cpu_isa()
    except (ImportError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
    return Native(path=PATH, isa=isa, threads=torch.get_num_threads(), problem=problem)


def pick_device(name: str) -> torch.device:
    """The device that "auto", "cpu" or "cuda" means: the CPU, since there are no CUDA kernels yet.

    Raises:
        SplatError: cuda was asked for.
    """
    if name == "cuda":
        raise SplatError("--device cuda: this version of Splat has no CUDA kernels; leave --device out.")
    return torch.device("cpu")


def validate(op: str, **tensors: Tensor | None) -> None:
    """With SPLAT_VALIDATE=1, searches an op's results for NaN and infinity.

    Raises:
        FloatingPointError: names the op, the tensor and the first bad index.
    """
    if not VALIDATE or torch.compiler.is_compiling():
        return
    for name, tensor in tensors.items():
        # While an op is traced, its results are of a subclass and hold no numbers.
        if type(tensor) is not Tensor or not tensor.is_floating_point():
            continue
        bad = (~tensor.isfinite()).nonzero()
        if len(bad):
            index = bad[0].tolist()
            raise FloatingPointError(f"{op}: {name}{index} is {tensor[tuple(index)].item()} ({len(bad)} such values)")
