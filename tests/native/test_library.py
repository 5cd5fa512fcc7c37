"""The compiled library: what it needs of torch, what happens without it, and the search for NaN in what it returns."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import unavailable

from splat import native
from splat.reference import constants

ROOT = Path(__file__).resolve().parents[2]
# LibTorch's stable C interface: torch/csrc/stable/c/shim.h and torch/csrc/inductor/aoti_torch/c/shim.h.
STABLE = re.compile(r"(aoti_torch|torch)_[a-z0-9_]+")
# What every Linux has had since long before Python 3.10: C, C++ and compiler runtimes, by their symbol versions.
SYSTEM = re.compile(r".*@(GLIBC|GLIBCXX|CXXABI|GCC)_[0-9.]+")
LINKER = {"__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}


@pytest.fixture(params=["cpu", "cuda"])
def library(request: pytest.FixtureRequest) -> Path:
    """One of the compiled libraries; none is loaded."""
    if sys.platform != "linux":
        pytest.skip("reads ELF")
    if request.param == "cuda" and shutil.which("nvcc") is None:
        unavailable("nvcc", "the CUDA library is built where nvcc is on PATH")
    return native.PATH if request.param == "cpu" else native.CUDA_PATH


def said_by(tool: str, option: str, library: Path) -> str:
    if shutil.which(tool) is None:
        unavailable(tool, f"{tool} (binutils) is not installed")
    return subprocess.run([tool, option, str(library)], capture_output=True, text=True, check=True).stdout


def test_only_the_stable_interface_of_torch_is_needed(library: Path) -> None:
    words = [line.split() for line in said_by("nm", "-D", library).splitlines()]
    of_torch = {line[-1] for line in words if line[-2] in "Uw" and not SYSTEM.fullmatch(line[-1])} - LINKER
    assert "aoti_torch_library_init_impl" in of_torch
    assert not [symbol for symbol in of_torch if not STABLE.fullmatch(symbol)]


def test_nothing_but_system_libraries_is_needed_beside_torch(library: Path) -> None:
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", said_by("readelf", "-d", library)))
    # CUDA's runtime is part of the library, so that it agrees with the compiler and not with what torch brings.
    system = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2"}
    system |= {"libpthread.so.0", "librt.so.1", "libdl.so.2"}  # parts of libc.so.6 nowadays
    assert needed - system == {"libtorch_cpu.so"} | ({"libtorch.so"} if library == native.CUDA_PATH else set())


def test_constants_are_those_of_the_reference() -> None:
    text = (ROOT / "cuda/include/splat/constants.h").read_text()
    found = re.findall(r"constexpr (?:int|float) k(\w+) = ([^;]+);", text)
    native_values = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): eval(value.replace("f", "")) for name, value in found
    }
    reference_values = {name: value for name, value in vars(constants).items() if name.isupper()}
    assert native_values == reference_values


def test_a_missing_library_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(native, "PATH", tmp_path / "libsplat_cpu.so")
    native.load.cache_clear()
    with pytest.raises(ImportError, match="is not built .* `make native`"):
        native.load()
    assert "make native" in native.describe().problem
    (tmp_path / "libsplat_cpu.so").write_bytes(b"not a library")
    with pytest.raises(ImportError, match="does not load: .* Build it anew: `make native`"):
        native.load()


@pytest.fixture(autouse=True)
def _load_the_real_library_again():
    yield
    native.load.cache_clear()


def test_validation_names_the_tensor_and_the_place() -> None:
    assert native.VALIDATE
    bad = torch.zeros(2, 3)
    bad[1, 2] = torch.inf
    native.validate("op", fine=torch.ones(2), ids=torch.ones(2, dtype=torch.int64), absent=None)
    with pytest.raises(FloatingPointError, match=r"op: bad\[1, 2\] is inf \(1 such values\)"):
        native.validate("op", fine=torch.ones(2), bad=bad)
