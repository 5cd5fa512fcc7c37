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


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_only_the_stable_interface_of_torch_is_needed() -> None:
    if shutil.which("nm") is None:
        unavailable("nm", "nm (binutils) is not installed")
    listed = subprocess.run(["nm", "-D", str(native.PATH)], capture_output=True, text=True, check=True)
    undefined = {line.split()[-1] for line in listed.stdout.splitlines() if line.split()[-2] in "Uw"}
    of_torch = {symbol for symbol in undefined if not SYSTEM.fullmatch(symbol)} - LINKER
    assert "aoti_torch_library_def" in of_torch
    assert not [symbol for symbol in of_torch if not STABLE.fullmatch(symbol)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_nothing_but_system_libraries_is_needed_beside_torch() -> None:
    if shutil.which("readelf") is None:
        unavailable("readelf", "readelf (binutils) is not installed")
    listed = subprocess.run(["readelf", "-d", str(native.PATH)], capture_output=True, text=True, check=True)
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", listed.stdout))
    system = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2"}
    assert needed - system == {"libtorch_cpu.so"}


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
