"""What the CUDA kernels take of a GPU: registers, shared memory, stack and spills, by kernel and architecture.

Reads what ptxas said when `make native` compiled them (build/native/*.gpu.o.txt). For more architectures than two:

    SPLAT_CUDA_ARCHS="75 80 86 89 90 100 120" make native
    .venv/bin/python scripts/kernel_resources.py [--markdown] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build/native"
ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
SHARED = re.compile(r"(\d+) bytes smem")
COLUMNS = ("file", "kernel", "GPU", "registers", "shared", "stack", "spilled")


@dataclass(frozen=True)
class Resources:
    """Of one kernel on one architecture; bytes, but for registers a thread.

    Attributes:
        source: stem of the .cu file.
        kernel: name and template arguments.
        architecture: e.g. "sm_90".
        shared: of a block.
        spilled: of a thread, stores and loads together.
    """

    source: str
    kernel: str
    architecture: str
    registers: int
    shared: int
    stack: int
    spilled: int


def of_build(folder: Path = BUILD) -> list[Resources]:
    """Of all kernels that are Splat's own, which those of CUB are not."""
    files = sorted(folder.glob("*.gpu.o.txt"))
    return [found for file in files for found in parse(file.read_text(), file.name.split(".")[0])]


def parse(messages: str, source: str) -> list[Resources]:
    """What ptxas -v said of one file's kernels."""
    mangled, found = [], []
    name = architecture = ""
    stack = spilled = 0
    for line in messages.splitlines():
        if match := ENTRY.search(line):
            name, architecture = match.groups()
        elif match := FRAME.search(line):
            stack, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif match := re.search(r"Used (\d+) registers", line):
            shared = SHARED.search(line)
            mangled.append(name)
            found.append((architecture, int(match[1]), int(shared[1]) if shared else 0, stack, spilled))
    names = readable(mangled)
    return [
        Resources(source, kernel, *values)
        for kernel, values in zip(names, found, strict=True)
        if not kernel.startswith("cub::")
    ]


def readable(mangled: list[str]) -> list[str]:
    """Demangled names without the namespaces that all share, results and parameters; as they are without c++filt."""
    if not mangled or shutil.which("c++filt") is None:
        return mangled
    output = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True).stdout
    return [short(name) for name in output.splitlines()]


def short(name: str) -> str:
    for noise in ("(anonymous namespace)::", "splat::cuda::", "(splat::CameraModel)"):
        name = name.replace(noise, "")
    name = name.removeprefix("void ")
    depth = 0
    for place, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:  # parameters begin
            return name[:place]
    return name


def as_rows(kernels: Iterable[Resources]) -> list[tuple[str, ...]]:
    ordered = sorted(kernels, key=lambda k: (k.source, k.kernel, len(k.architecture), k.architecture))
    return [tuple(map(str, asdict(kernel).values())) for kernel in ordered]


def as_text(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = []
    for row in (COLUMNS, *rows):
        cells = [cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(kernels: Iterable[Resources]) -> str:
    """A row a kernel; of each architecture its registers, and in brackets the bytes spilled, if any."""
    table: dict[tuple[str, str, int], dict[str, str]] = {}
    for k in kernels:
        spilled = f" ({k.spilled} spilled)" if k.spilled else ""
        table.setdefault((k.source, k.kernel, k.shared), {})[k.architecture] = f"{k.registers}{spilled}"
    architectures = sorted({name for cells in table.values() for name in cells}, key=lambda name: (len(name), name))
    head = ["file", "kernel", "shared memory, bytes", *architectures]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for (source, kernel, shared), cells in sorted(table.items()):
        values = [source, f"`{kernel}`", str(shared), *(cells.get(name, "") for name in architectures)]
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="a table for docs/benchmarks/gpu-kernels.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write one JSON object a kernel to FILE")
    options = parser.parse_args()
    kernels = of_build()
    if not kernels:
        raise SystemExit(f"{BUILD} holds no messages of ptxas: put nvcc on PATH and run `make native`.")
    if options.json:
        options.json.write_text(json.dumps([asdict(kernel) for kernel in kernels], indent=1) + "\n")
    print(as_markdown(kernels) if options.markdown else as_text(as_rows(kernels)))


if __name__ == "__main__":
    main()
