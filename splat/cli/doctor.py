"""`splat doctor`: what works on this machine, and why the rest does not. Needs nothing but the core."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import splat
from splat.cli.browser import has_screen
from splat.cli.needs import EXTRAS, install_line, missing
from splat.cli.output import reporting

DISTRIBUTION = "splatworks"
#: What the library itself needs.
CORE = ("torch", "numpy")


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        status: "ok"; "absent", it works without; "broken", it does not.
        found: what is there, or why not.
        advice: what to do; empty when nothing needs doing.
    """

    name: str
    status: Literal["ok", "absent", "broken"]
    found: str
    advice: str = ""


def main(arguments: Sequence[str]) -> int:
    # argparse and not tyro: this command has to run where the extras are not installed.
    parser = argparse.ArgumentParser(
        prog="splat doctor",
        description="Says what works on this machine, and what to do about the rest. Exits with 2 if Splat can't run.",
        epilog="examples:\n  splat doctor\n  splat doctor --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    options = parser.parse_args(list(arguments))
    with reporting(options.json) as report:
        checks = list(run_checks())
        fine = all(check.status != "broken" for check in checks)
        report({"ok": fine, "checks": [asdict(check) for check in checks]}, as_text(checks))
    return 0 if fine else 2


def run_checks() -> Iterator[Check]:
    """All checks, in the order in which one thing needs another. A check that fails itself is a result, too."""
    for name, check in CHECKS.items():
        try:
            yield check()
        except Exception as error:
            advice = "Report this with the line above."
            if isinstance(error, ModuleNotFoundError) and error.name in CORE:
                advice = f"Run: pip install {error.name}"
            yield Check(name, "broken", f"{type(error).__name__}: {error}", advice)


def as_text(checks: Sequence[Check]) -> str:
    marks = {"ok": "ok", "absent": "--", "broken": "!!"}
    lines = []
    for check in checks:
        lines.append(f"{marks[check.status]}  {check.name:13} {check.found}")
        lines += [f"    {'':13} -> {check.advice}"] if check.advice else []
    return "\n".join(lines)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.platform()}, {sys.executable}")


def _splat() -> Check:
    """Ours, and whether somebody else's package of the same import name is in the way."""
    folder = Path(splat.__file__).resolve().parent
    others = sorted(set(packages_distributions().get("splat", [])) - {DISTRIBUTION})
    others += [str(path) for path in _other_splats(folder)]
    if others or not hasattr(splat, "Gaussians"):
        found = f"another package named splat is installed: {', '.join(others) or folder}"
        advice = f"Run: pip uninstall {others[0] if others else 'splat'}; pip install --force-reinstall {DISTRIBUTION}"
        return Check("splat", "broken", found, advice)
    try:
        return Check("splat", "ok", f"{version(DISTRIBUTION)} in {folder}")
    except PackageNotFoundError:
        return Check("splat", "absent", f"runs from {folder} without being installed", "Run: pip install -e .")


def _other_splats(ours: Path) -> Iterator[Path]:
    """Folders and files on Python's path that `import splat` would take if ours did not come first."""
    for entry in dict.fromkeys(sys.path):
        for candidate in (Path(entry or ".") / "splat", Path(entry or ".") / "splat.py"):
            package = candidate / "__init__.py" if candidate.suffix != ".py" else candidate
            if package.is_file() and candidate.resolve() != ours:
                yield candidate


def _torch() -> Check:
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    found = f"{torch.__version__}, {torch.get_num_threads()} threads on {os.cpu_count()} cores, "
    return Check("torch", "ok", found + (f"GPU: {', '.join(gpus)}" if gpus else "no GPU that torch can use"))


def _cpu_library() -> Check:
    from splat.native import describe

    native = describe()
    if native.problem:
        return Check("CPU library", "broken", native.problem)
    return Check("CPU library", "ok", f"{native.isa} kernels, {native.threads} threads, {native.path}")


def _cuda_library() -> Check:
    from splat.native import describe

    cuda = describe().cuda
    if cuda.problem:
        return Check("CUDA library", "absent", f"{cuda.problem}; everything runs on the CPU", cuda.cure)
    return Check("CUDA library", "ok", f"runs on {cuda.gpu}, {cuda.path}")


def _packages(extra: str) -> Callable[[], Check]:
    def check() -> Check:
        name, lacking = f"[{extra}]", missing(extra)
        if lacking:
            return Check(name, "absent", f"missing: {', '.join(lacking)}", f"Run: {install_line(extra)}")
        return Check(name, "ok", ", ".join(f"{package} {version(package)}" for package in EXTRAS[extra].values()))

    return check


def _colmap() -> Check:
    if missing("capture"):
        return Check(
            "COLMAP", "absent", "pycolmap is not installed; `splat capture` needs it", f"Run: {install_line('capture')}"
        )
    import pycolmap

    heif = "HEIC photos too" if find_spec("pillow_heif") else "no HEIC photos (pip install pillow-heif)"
    return Check("COLMAP", "ok", f"pycolmap {pycolmap.__version__}, {heif}")


def _ffmpeg() -> Check:
    if "imageio-ffmpeg" in missing("train"):
        return Check("ffmpeg", "absent", "imageio-ffmpeg is not installed; no videos", f"Run: {install_line('train')}")
    import imageio_ffmpeg

    return Check("ffmpeg", "ok", f"{imageio_ffmpeg.get_ffmpeg_version()} at {imageio_ffmpeg.get_ffmpeg_exe()}")


def _page() -> Check:
    from splat.export.page import TEMPLATE

    if TEMPLATE.is_file():
        return Check("phone page", "ok", str(TEMPLATE))
    advice = "Install Node.js 20 or newer (nodejs.org), then run `make web`; wheels have it built in"
    return Check("phone page", "absent", "not built; `splat export scene.html` needs it", advice)


def _browser() -> Check:
    import webbrowser

    if not has_screen():
        advice = "The viewer's address still opens from elsewhere: ssh -L 8080:127.0.0.1:8080 THIS_MACHINE"
        return Check("browser", "absent", "no screen here, so none is opened for you", advice)
    try:
        return Check("browser", "ok", webbrowser.get().__class__.__name__)
    except webbrowser.Error:
        return Check("browser", "absent", "none found", "Open the viewer's address in any browser by hand.")


CHECKS: dict[str, Callable[[], Check]] = {
    "python": _python,
    "splat": _splat,
    "torch": _torch,
    "CPU library": _cpu_library,
    "CUDA library": _cuda_library,
    "[train]": _packages("train"),
    "COLMAP": _colmap,
    "[viewer]": _packages("viewer"),
    "ffmpeg": _ffmpeg,
    "phone page": _page,
    "browser": _browser,
}
