"""Instructions of one training step on a CPU, stage by stage: unlike times, they don't depend on the machine's load.

    .venv/bin/python scripts/count_instructions.py [--gaussians 100000 --size 640 480]
    .venv/bin/python scripts/count_instructions.py --record

Prints the tables of docs/benchmarks/cpu.md. --record writes what tests/native/test_instruction_counts.py compares with.
tests/native/driver.cpp is linked with the kernels that `make native` compiled and run under callgrind, a tool of
valgrind, which knows instruction sets up to AVX2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/native"
DRIVER = ROOT / "tests/native/driver.cpp"
RECORD = ROOT / "tests/native/instruction_counts.json"
LEVELS = ("baseline", "avx2")
#: Gaussians, width and height of the driver's scene: large enough that what happens once a stage does not count.
SCENE = (4000, 160, 120)
#: What a training step does at once, as project adam: no part of it.
ASIDE = ("project backward", "adam")
MARKS = ("stage_begins", "stage_ends", "parallel_begins", "parallel_ends")


@dataclass(frozen=True)
class Stage:
    """Instructions of one stage.

    Attributes:
        units: how many Gaussians, instances (pairs of a Gaussian and a tile) or pixels it works on.
        parallel: what the library shares among threads.
        serial: what it does on one, whatever their number.
    """

    name: str
    unit: str
    units: int
    parallel: int
    serial: int

    @property
    def all(self) -> int:
        return self.parallel + self.serial

    @property
    def per_unit(self) -> float:
        return self.all / self.units


def total(stages: list[Stage]) -> Stage:
    """The whole training step."""
    parts = [stage for stage in stages if stage.name not in ASIDE]
    return Stage("step", "step", 1, sum(part.parallel for part in parts), sum(part.serial for part in parts))


def compile_command(folder: Path = BUILD) -> list[str]:
    """The compiler and the flags of the kernels in a build folder, but for those of an instruction set."""
    file = folder / "build.ninja"
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run `make native`")
    settings = dict(re.findall(r"^(cxx|flags) = (.*)$", file.read_text(), re.MULTILINE))
    return [*shlex.split(settings["cxx"]), *shlex.split(settings["flags"].replace("$$", "$"))]


def build_driver(program: Path, folder: Path = BUILD, options: tuple[str, ...] = ()) -> None:
    """Compiles the driver as the kernels in a build folder were compiled, and links it with them."""
    command = compile_command(folder)
    linked = re.findall(r"^build \S*splat_cpu\S*: link (.*)$", (folder / "build.ninja").read_text(), re.MULTILINE)
    # A kernel's object is named after its instruction set, too.
    objects = [folder / name for name in linked[0].split() if name.count(".") == 2 or name == "dispatch.o"]
    subprocess.run([*command, "-Werror", *options, DRIVER, *objects, "-o", program], check=True)


def compiler(folder: Path = BUILD) -> str:
    """The compiler of the kernels in a folder, e.g. "gcc 12"."""
    cxx = compile_command(folder)[0]
    said = subprocess.run([cxx, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"(\d+)\.\d+\.\d+", said.splitlines()[0])
    return f"{'gcc' if 'Free Software' in said else 'clang'} {version.group(1) if version else '?'}"


def count(program: Path, level: str, scene: tuple[int, int, int] = SCENE) -> list[Stage]:
    """Runs the driver under callgrind, which writes down its count wherever the driver enters a mark."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/counts"]
        command = [*tool, *(f"--dump-before={mark}" for mark in MARKS), program, *map(str, scene)]
        environment = os.environ | {"SPLAT_CPU_ISA": level}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(ran.stderr)
        parts = sorted(Path(folder).glob("counts.*"), key=lambda part: int(part.suffix[1:]))
        texts = [part.read_text() for part in parts]
    lines = iter(ran.stdout.splitlines())
    stages, sums = [], {"parallel": 0, "serial": 0}
    for text in texts:
        mark = re.findall(r"Trigger: --dump-before=(\w+)", text)[0]
        instructions = int(re.findall(r"^summary: (\d+)", text, re.MULTILINE)[0])
        if mark == "stage_begins":
            sums = {"parallel": 0, "serial": 0}
            continue
        sums["parallel" if mark == "parallel_ends" else "serial"] += instructions
        if mark == "stage_ends":
            name, unit, units, _ = next(lines).split("\t")
            stages.append(Stage(name, unit, int(units), **sums))
    return stages


def as_markdown(counts: dict[str, list[Stage]]) -> str:
    """A row a stage; shares are those of the last level."""
    lines = [f"| stage | instructions per | {' | '.join(counts)} | share of the step | of it serial |"]
    lines += [f"|---|---|{'---:|' * (len(counts) + 2)}"]
    *_, last = counts.values()
    step = total(last)
    for stages in zip(*counts.values(), strict=True):
        stage = stages[-1]
        share = "" if stage.name in ASIDE else f"{stage.all / step.all:.1%}"
        cells = [stage.name, stage.unit, *(f"{s.per_unit:,.0f}" for s in stages), share]
        lines.append(f"| {' | '.join(cells)} | {stage.serial / stage.all:.2%} |")
    totals = [f"{total(stages).all / 1e6:,.1f} M" for stages in counts.values()]
    lines.append(f"| step | | {' | '.join(totals)} | 100% | {step.serial / step.all:.2%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=SCENE[0])
    parser.add_argument("--size", type=int, nargs=2, default=SCENE[1:], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(ROOT)}, of the default scene")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("Instructions are counted by valgrind, which is not on PATH: install it.")
    scene = SCENE if options.record else (options.gaussians, *options.size)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "driver"
        build_driver(program)
        counts = {level: count(program, level, scene) for level in LEVELS}
    if options.record:
        per_unit = {level: {s.name: round(s.per_unit, 1) for s in stages} for level, stages in counts.items()}
        record = {"compiler": compiler(), "instructions_per_unit": per_unit}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(as_markdown(counts))


if __name__ == "__main__":
    main()
