"""Builds the package: what pyproject.toml can't say is the packages' folders and the native library.

The library is plain C++ behind LibTorch's stable ABI, so it depends on neither the Python nor the torch version and the
wheel is tagged py3-none-<platform>. `setup.py build_ext --inplace` (which is `make native`) rebuilds what has changed.
"""

from __future__ import annotations

import filecmp
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
MAPPED = {"splat.datasets": "datasets", "splat.viewer": "viewer"}
INSTALL_TORCH = "run `pip install 'torch>=2.10' ninja`, then `pip install --no-build-isolation` as before"

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"
X86 = platform.machine().lower() in ("x86_64", "amd64")
LIBRARY = "splat_cpu.dll" if WINDOWS else "libsplat_cpu.dylib" if MACOS else "libsplat_cpu.so"

#: One object per kernel file and level; cpu/dispatch.h chooses among them at run time. Baseline is what the
#: platform's ABI promises (SSE2 on x86-64, NEON on arm64).
ISA_FLAGS = {"baseline": [], "avx2": ["-mavx2", "-mfma"], "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq"]}
ISA_FLAGS["avx512"] += ["-mavx512vl", "-mfma"]
MSVC_ISA_FLAGS = {"baseline": [], "avx2": ["/arch:AVX2"], "avx512": ["/arch:AVX512"]}

#: No contraction: an expression gives the same bits on every level unless fma() is written out (style of the house).
FLAGS = ["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math", "-Wall", "-Wextra"]
MSVC_FLAGS = ["/std:c++20", "/O2", "/fp:precise", "/EHsc", "/W3", "/Zc:__cplusplus", "/utf-8", "/MD"]


def packages() -> list[str]:
    """splat and everything under it, with the two top-level folders as subpackages."""
    mapped = [[name, *(f"{name}.{sub}" for sub in find_packages(folder))] for name, folder in MAPPED.items()]
    return sum(mapped, find_packages(include=["splat", "splat.*"]))


def torch_folder() -> Path:
    """Where the installed torch keeps include/ and lib/; torch itself is not imported."""
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"Splat builds against the torch that is installed, and there is none here: {INSTALL_TORCH}.")
    folder = Path(spec.submodule_search_locations[0])
    if not (folder / "include/torch/csrc/stable/c/shim.h").exists():
        try:
            found = version("torch")
        except PackageNotFoundError:
            found = "of unknown version"
        sys.exit(f"Splat needs torch >= 2.10 and found torch {found} in {folder}: {INSTALL_TORCH}.")
    return folder


def ninja() -> str:
    if find_spec("ninja"):
        import ninja as package

        return str(Path(package.BIN_DIR) / "ninja")
    return shutil.which("ninja") or sys.exit("Splat's native library is built by ninja: pip install ninja.")


def compiler() -> str:
    cxx = os.environ.get("CXX") or ("cl" if WINDOWS else "c++")
    if shutil.which(cxx.split()[0]) is None:
        sys.exit(f"Splat needs a C++20 compiler and {cxx!r} is not on PATH: install g++ or clang, or set CXX.")
    return cxx


def objects() -> list[tuple[str, Path, list[str]]]:
    """(object, source, extra flags) of every translation unit; sources are found, so a new op needs no change here."""
    cuda = ROOT / "cuda"
    units = [(source.stem, source, []) for source in sorted([*cuda.glob("cpu/*.cpp"), *cuda.glob("torch/*.cpp")])]
    isa_flags = MSVC_ISA_FLAGS if WINDOWS else ISA_FLAGS
    for isa in isa_flags if X86 else ["baseline"]:
        for kernels in sorted(cuda.glob("cpu/*.inl")):
            define = f'-DSPLAT_KERNELS="<cpu/{kernels.name}>"' if WINDOWS else f"'-DSPLAT_KERNELS=<cpu/{kernels.name}>'"
            units.append((f"{kernels.stem}.{isa}", cuda / f"cpu/isa/{isa}.cpp", [*isa_flags[isa], define]))
    return units


def ninja_file(torch: Path) -> str:
    """The whole native build as text for ninja, to be run in the build folder."""
    includes = [ROOT / "cuda/include", ROOT / "cuda", torch / "include"]
    defines = ["TORCH_TARGET_VERSION=0x020a000000000000", *([] if X86 else ["SPLAT_BASELINE_ONLY"])]
    if WINDOWS:
        flags = [*MSVC_FLAGS, *(f"/D{d}" for d in defines), *(f'/I"{path}"' for path in includes)]
        compile_command, deps = "$cxx /nologo /showIncludes $flags $extra /c $in /Fo$out", "deps = msvc"
        libraries = [f'"{torch / "lib" / name}.lib"' for name in ("torch_cpu", "c10")]
        link = f"$cxx /nologo /LD $in /Fe$out /link {' '.join(libraries)}"
    else:
        # Torch's headers are not ours to warn about.
        flags = [*FLAGS, *(f"-D{d}" for d in defines), *(f"-I'{path}'" for path in includes[:2])]
        flags += [f"-isystem '{includes[2]}'"]
        compile_command, deps = "$cxx -MMD -MF $out.d $flags $extra -c $in -o $out", "depfile = $out.d\n  deps = gcc"
        # torch is loaded before us, so on macOS its symbols are simply looked up, and on Linux its soname is enough.
        shared = "-dynamiclib -undefined dynamic_lookup" if MACOS else f"-shared -L'{torch}/lib' -ltorch_cpu"
        link = f"$cxx $in -o $out {shared}"
    escaped_flags = " ".join(flags).replace("$", "$$")
    lines = [f"cxx = {compiler()}", f"flags = {escaped_flags}"]
    lines += ["rule compile", f"  command = {compile_command}", f"  {deps}", "  description = compile $out"]
    lines += ["rule link", f"  command = {link}", "  description = link $out"]
    names = []
    for name, source, extra in objects():
        names.append(f"{name}.o")
        escaped_source = str(source).replace(":", "$:").replace(" ", "$ ")
        lines += [f"build {name}.o: compile {escaped_source}", f"  extra = {' '.join(extra)}"]
    lines += [f"build {LIBRARY}: link {' '.join(names)}", f"default {LIBRARY}", ""]
    return "\n".join(lines)


def build_native(destination: Path) -> Path:
    """Builds what changed in build/native, then puts the library in place by a rename: a failure harms nothing."""
    folder = ROOT / "build" / "native"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.ninja").write_text(ninja_file(torch_folder()), encoding="utf-8")
    if subprocess.run([ninja(), "-C", str(folder)], check=False).returncode != 0:
        sys.exit("Splat's native library did not build; the compiler's message is above.")
    library = destination / LIBRARY
    destination.mkdir(parents=True, exist_ok=True)
    if not library.exists() or not filecmp.cmp(folder / LIBRARY, library, shallow=False):
        fresh = library.with_name(f"{LIBRARY}.{os.getpid()}.tmp")
        shutil.copyfile(folder / LIBRARY, fresh)
        os.replace(fresh, library)
    return library


class BuildNative(build_ext):
    """setuptools' place for compiled code, with our one library in place of Python extensions."""

    def destination(self) -> Path:
        return (ROOT if self.inplace else Path(self.build_lib).resolve()) / "splat" / "_native"

    def run(self) -> None:
        build_native(self.destination())

    def get_outputs(self) -> list[str]:
        return [str(self.destination() / LIBRARY)]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class PlatformWheel(bdist_wheel):
    """One wheel for every Python: nothing in it links to libpython."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    packages=packages(),
    package_dir=MAPPED,
    exclude_package_data={"splat.datasets": ["sample/*", "sample/**/*"]},
    ext_modules=[Extension("splat._native", sources=[])],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": PlatformWheel},
)
