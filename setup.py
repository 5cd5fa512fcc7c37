"""Builds the package: what pyproject.toml can't say is the packages' folders, the native libraries and the web page.

There is one for the CPU, and one for NVIDIA GPUs where nvcc is found. Both stand behind LibTorch's stable ABI, so they
depend on neither the Python nor the torch version and the wheel is tagged py3-none-<platform>. `setup.py build_ext
--inplace` (which is `make native`) rebuilds what has changed.

The page that `splat export scene.html` fills in is bundled from viewer/web where Node is; without it all but that
export works.
"""

from __future__ import annotations

import filecmp
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # The one that a virtual environment of Python 3.11 or older begins with.
    sys.exit("Splat's build needs setuptools >= 77: run `pip install 'setuptools>=77' ninja`, then as before.")

ROOT = Path(__file__).resolve().parent
MAPPED = {"splat.datasets": "datasets", "splat.viewer": "viewer"}
INSTALL_TORCH = "run `pip install 'torch>=2.10' ninja`, then `pip install --no-build-isolation` as before"

INSTALL_NODE = "install Node.js 20 or newer (nodejs.org), then run `make web` (without make: as before)"
#: What is made of viewer/web.
PAGE = ("page.html", "LICENSE.txt")

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"
X86 = platform.machine().lower() in ("x86_64", "amd64")

#: One object per kernel file and level; cpu/dispatch.h chooses among them at run time. Baseline is what the
#: platform's ABI promises (SSE2 on x86-64, NEON on arm64).
ISA_FLAGS = {"baseline": [], "avx2": ["-mavx2", "-mfma"], "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq"]}
ISA_FLAGS["avx512"] += ["-mavx512vl", "-mfma"]
MSVC_ISA_FLAGS = {"baseline": [], "avx2": ["/arch:AVX2"], "avx512": ["/arch:AVX512"]}

#: No contraction: an expression gives the same bits on every level unless fma() is written out (style of the house).
FLAGS = ["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math", "-Wall", "-Wextra"]
MSVC_FLAGS = ["/std:c++20", "/O2", "/fp:precise", "/EHsc", "/W3", "/Zc:__cplusplus", "/utf-8", "/MD"]

#: Compute capabilities that the CUDA library is compiled for; SPLAT_CUDA_ARCHS="75 90" names others. The oldest's and
#: the newest's are kept as PTX too, from which a driver makes what is missing.
CUDA_ARCHS = "75 80 86 89 90 100 120"
NVCC_FLAGS = ["-std=c++20", "-O3", "-lineinfo", "-Xptxas -v", "-Xcompiler -fPIC,-fvisibility=hidden"]
#: Quotients and roots to 2 units in the last place, denormals as zero: far within the tolerances, and much faster.
NVCC_FLAGS += ["-ftz=true", "-prec-div=false", "-prec-sqrt=false"]


@dataclass(frozen=True)
class Unit:
    """One translation unit: the object's name, its source, and flags of its own."""

    name: str
    source: Path
    flags: tuple[str, ...] = ()
    rule: str = "compile"


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


def nvcc() -> Path | None:
    """The CUDA compiler, by CUDA_HOME or PATH."""
    homes = [Path(os.environ[name], "bin") for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    found = shutil.which("nvcc", path=os.pathsep.join([*map(str, homes), os.environ.get("PATH", "")]))
    return Path(found).resolve() if found and not (WINDOWS or MACOS) else None


def cuda_home(compiler: Path) -> Path:
    """Where the toolkit keeps lib64/; nvcc itself may be a link or a script that leads there."""
    command = [compiler, "--dryrun", "-c", "-x", "cu", os.devnull]
    dry_run = subprocess.run(command, check=False, capture_output=True, text=True).stderr
    top = [line.split("=", 1)[1] for line in dry_run.splitlines() if line.startswith("#$ TOP=")]
    return Path(top[0]).resolve() if top else compiler.parents[1]


def architectures(compiler: Path) -> list[str]:
    """nvcc's flags for the compute capabilities that are wanted and that this toolkit knows."""
    wanted = (os.environ.get("SPLAT_CUDA_ARCHS") or CUDA_ARCHS).replace(",", " ").split()
    listed = subprocess.run([compiler, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    known = [arch for arch in wanted if f"compute_{arch}" in listed.split()]
    if not known:
        sys.exit(f"SPLAT_CUDA_ARCHS: {compiler} compiles for none of {' '.join(wanted)}.")
    machine_code = [f"-gencode arch=compute_{arch},code=sm_{arch}" for arch in known]
    as_ptx = dict.fromkeys((known[0], known[-1]))
    return machine_code + [f"-gencode arch=compute_{arch},code=compute_{arch}" for arch in as_ptx]


def file_name(library: str) -> str:
    return f"{library}.dll" if WINDOWS else f"lib{library}.dylib" if MACOS else f"lib{library}.so"


def shipped() -> list[str]:
    """The libraries that are installed."""
    return [file_name("splat_cpu"), *([file_name("splat_cuda")] if nvcc() else [])]


def cpu_units() -> list[Unit]:
    """The CPU's library; sources are found, so a new op needs no change here."""
    cuda = ROOT / "cuda"
    units = [Unit(source.stem, source) for source in sorted([*cuda.glob("cpu/*.cpp"), *cuda.glob("torch/cpu/*.cpp")])]
    isa_flags = MSVC_ISA_FLAGS if WINDOWS else ISA_FLAGS
    for isa in isa_flags if X86 else ["baseline"]:
        for kernels in sorted(cuda.glob("cpu/*.inl")):
            define = f'-DSPLAT_KERNELS="<cpu/{kernels.name}>"' if WINDOWS else f"'-DSPLAT_KERNELS=<cpu/{kernels.name}>'"
            units.append(Unit(f"{kernels.stem}.{isa}", cuda / f"cpu/isa/{isa}.cpp", (*isa_flags[isa], define)))
    return units


def gpu_units() -> list[Unit]:
    """The GPU's library: kernels by nvcc, bindings by the host's compiler."""
    cuda = ROOT / "cuda"
    kernels = [Unit(f"{source.stem}.gpu", source, rule="nvcc") for source in sorted(cuda.glob("gpu/*.cu"))]
    return kernels + [Unit(f"{s.stem}.gpu_torch", s, ("-DSPLAT_CUDA",)) for s in sorted(cuda.glob("torch/gpu/*.cpp"))]


def gpu_on_host_units() -> list[Unit]:
    """The same kernels and bindings for the CPU, for tests. primitives.cu is CUB, which has no other side."""
    cuda, flags = ROOT / "cuda", ("-DSPLAT_CUDA_ON_HOST", "-DSPLAT_ISA=cuda_on_host", "-O2")
    kernels = [source for source in sorted(cuda.glob("gpu/*.cu")) if source.stem != "primitives"]
    units = [Unit(f"{source.stem}.on_host", source, ("-x c++", *flags)) for source in kernels]
    others = sorted([*cuda.glob("torch/gpu/*.cpp"), *cuda.glob("host/*.cpp")])
    return units + [Unit(f"{source.parent.name}_{source.stem}.on_host", source, flags) for source in others]


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
        link = f"$cxx $in -o $out {shared} $libraries"
    escaped_flags = " ".join(flags).replace("$", "$$")
    lines = [f"cxx = {compiler()}", f"flags = {escaped_flags}"]
    lines += ["rule compile", f"  command = {compile_command}", f"  {deps}", "  description = compile $out"]
    lines += ["rule link", f"  command = {link}", "  description = link $out"]
    libraries = {"splat_cpu": (cpu_units(), "")}
    if cuda_compiler := nvcc():
        gpu_flags = [*NVCC_FLAGS, *architectures(cuda_compiler), "-DSPLAT_ISA=cuda"]
        gpu_flags += [f"-I'{path}'" for path in includes[:2]]
        # What ptxas says of registers and spills goes to a file, of which scripts/kernel_resources.py makes a table.
        command = f"{cuda_compiler} -MD -MF $out.d {' '.join(gpu_flags)} -c $in -o $out > $out.txt 2>&1"
        command += " || (cat $out.txt; exit 1)"
        lines += ["rule nvcc", f"  command = {command}", f"  {deps}", "  description = compile $out (nvcc)"]
        # Nothing in the library refers to libtorch.so, but through it the CUDA stream's symbol is found.
        runtime = f"-L'{cuda_home(cuda_compiler)}/lib64' -lcudart_static -lrt -lpthread -ldl"
        libraries["splat_cuda"] = (gpu_units(), f"-Wl,--no-as-needed -ltorch -Wl,--as-needed {runtime}")
    if sys.platform == "linux":
        libraries["splat_cuda_on_host"] = (gpu_on_host_units(), "")
    for library, (units, libraries_of_its_own) in libraries.items():
        for unit in units:
            escaped_source = str(unit.source).replace(":", "$:").replace(" ", "$ ")
            lines += [f"build {unit.name}.o: {unit.rule} {escaped_source}", f"  extra = {' '.join(unit.flags)}"]
        objects = " ".join(f"{unit.name}.o" for unit in units)
        lines += [f"build {file_name(library)}: link {objects}", f"  libraries = {libraries_of_its_own}"]
    # What only tests need is built by its name.
    return "\n".join([*lines, f"default {' '.join(shipped())}", ""])


def build_native(destination: Path) -> None:
    """Builds what changed in build/native, then puts the libraries in place by renames: a failure harms nothing."""
    folder = ROOT / "build" / "native"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.ninja").write_text(ninja_file(torch_folder()), encoding="utf-8")
    if subprocess.run([ninja(), "-C", str(folder)], check=False).returncode != 0:
        sys.exit("Splat's native library did not build; the compiler's message is above.")
    destination.mkdir(parents=True, exist_ok=True)
    for name in shipped():
        built, library = folder / name, destination / name
        if not library.exists() or not filecmp.cmp(built, library, shallow=False):
            fresh = library.with_name(f"{library.name}.{os.getpid()}.tmp")
            shutil.copyfile(built, fresh)
            os.replace(fresh, library)


def build_page(destination: Path) -> None:
    """Bundles viewer/web into the page's one file, if something has changed; says in a line why it cannot."""
    web, made = ROOT / "viewer" / "web", [destination / name for name in PAGE]
    sources = [*web.glob("*.json"), web / "bundle.mjs", *web.glob("phone/*")]
    newest = max(path.stat().st_mtime for path in sources)
    if all(path.exists() and path.stat().st_mtime >= newest for path in made):
        return
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print(f"splat: no page for phones (`splat export scene.html`): {INSTALL_NODE}.", file=sys.stderr)
        return
    folder = ROOT / "build" / "page"
    installed, lock = web / "node_modules" / ".package-lock.json", web / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=web, check=False).returncode != 0:
            print("splat: no page for phones (`splat export scene.html`): npm's message is above.", file=sys.stderr)
            return
        os.utime(installed)
    if subprocess.run([node, "bundle.mjs", str(folder)], cwd=web, check=False).returncode != 0:
        sys.exit("Splat's page for phones did not build; Node's message is above.")
    destination.mkdir(parents=True, exist_ok=True)
    for path in made:
        os.replace(folder / path.name, path)


class BuildNative(build_ext):
    """setuptools' place for compiled code, with our libraries, and the page, in place of Python extensions."""

    def destination(self, folder: str) -> Path:
        return (ROOT if self.inplace else Path(self.build_lib).resolve()) / "splat" / folder

    def run(self) -> None:
        build_native(self.destination("_native"))
        build_page(self.destination("_web"))

    def get_outputs(self) -> list[str]:
        page = [path for name in PAGE if (path := self.destination("_web") / name).exists()]
        return [str(path) for path in [*(self.destination("_native") / name for name in shipped()), *page]]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class BuildPage(Command):
    """`setup.py build_page`: the page alone, beside the sources."""

    description = "bundle the page of `splat export scene.html`"
    user_options: ClassVar = []

    def initialize_options(self) -> None: ...

    def finalize_options(self) -> None: ...

    def run(self) -> None:
        build_page(ROOT / "splat" / "_web")


class PlatformWheel(bdist_wheel):
    """One wheel for every Python: nothing in it links to libpython."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    packages=packages(),
    package_dir=MAPPED,
    exclude_package_data={
        "splat.datasets": ["sample/*", "sample/**/*"],
        "splat.viewer": ["web/*.json", "web/*.mjs", "web/phone/*"],
    },
    ext_modules=[Extension("splat._native", sources=[])],
    cmdclass={"build_ext": BuildNative, "build_page": BuildPage, "bdist_wheel": PlatformWheel},
)
