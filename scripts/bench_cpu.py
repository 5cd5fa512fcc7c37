"""How fast training and rendering are on this CPU, part by part, against what the machine could do and what others do.

    SPLAT_DATA=DATA python scripts/bench_cpu.py --json cpu.json

Takes about five minutes; figures mean something only while the machine is otherwise idle. Goals and peers were stated
for another machine (bench_goals.py) and are scaled by the two machines' ceilings, which are measured first.
SPLAT_CPU_ISA=avx2 measures that instruction set, kernels and ceilings both.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import bench_goals
import bench_peers
import torch
from bench_ceilings import Ceilings, measure_ceilings
from bench_goals import Goals
from bench_opensplat import opensplat_ms
from bench_scenes import BenchScene, data_folder, fox, garden
from bench_stages import Budget, Timing, render_timing, stage_timings
from bench_work import Work, workload

from splat import native
from splat.errors import SplatError

GARDENS = {
    f"garden-{name} {width}x{height}": (count, width, height)
    for name, count in (("20k", 20_000), ("100k", 100_000))
    for width, height in ((320, 240), (640, 480))
}
FOX = "fox 360x640"
#: Only rendered.
DRAWN = {"garden-200k 640x480": (200_000, 640, 480), "garden-1m 1280x720": (1_000_000, 1280, 720)}
LARGEST_STEP = "garden-100k 640x480"


@dataclass(frozen=True)
class Result:
    """One line of the table; times in ms, None where nothing is stated; work None where it is only overhead."""

    scene: str
    stage: str
    threads: int
    splat_ms: float
    median_ms: float
    first_ms: float | None
    goal_ms: float | None
    peer_ms: float | None
    work: Work | None

    @property
    def gflops(self) -> float | None:
        return self.work.operations / self.splat_ms * 1e-6 if self.work and self.work.operations else None

    @property
    def gbs(self) -> float | None:
        return self.work.bytes / self.splat_ms * 1e-6 if self.work else None


@dataclass(frozen=True)
class Requirement:
    """One line of what must be reached: a number that the machine does not decide."""

    name: str
    value: float
    first: float
    goal: float
    larger_is_better: bool

    def reaches(self, bound: float) -> bool:
        return self.value >= bound if self.larger_is_better else self.value <= bound


class Benchmark:
    """Collects the results of all scenes, for each number of threads. Goals are stated for one and for two."""

    def __init__(self, ceilings: dict[int, Ceilings], budget: Budget, opensplat: Path | None) -> None:
        self.ceilings = ceilings
        self.budget = budget
        self.opensplat = opensplat
        self.results: list[Result] = []
        self.pairs: dict[str, float] = {}
        self.gsplat = bench_peers.gsplat_functions()

    def run(self, scene: BenchScene, stages: Callable[[BenchScene, Budget], dict[str, Timing]]) -> None:
        print(f"  {scene.name}: {len(scene.gaussians):,} Gaussians, {scene.seen:,} seen", file=sys.stderr, flush=True)
        work = workload(scene)
        self.pairs[scene.name] = work.pairs
        for threads in self.ceilings:
            torch.set_num_threads(threads)
            timings = stages(scene, self.budget)
            times = {stage: timing.minimum for stage, timing in timings.items()}
            sizes = (len(scene.gaussians), scene.camera.width * scene.camera.height)
            for stage, timing in timings.items():
                goals = bench_goals.goals(scene.name, stage, self.ceilings[threads], threads, sizes, times)
                goals = self._with_own_peer(goals, scene, stage, threads)
                stated = (goals.first, goals.goal, goals.peer)
                done = work.stages.get(stage)
                self.results.append(Result(scene.name, stage, threads, timing.minimum, timing.median, *stated, done))

    def _with_own_peer(self, goals: Goals, scene: BenchScene, stage: str, threads: int) -> Goals:
        """A peer that runs here takes the place of its scaled time: no machine's ceilings come in between."""
        if stage == "loss" and scene.name == LARGEST_STEP:
            return Goals(goals.first, goals.goal, bench_peers.torch_loss_ms(scene, self.budget))
        if stage == "forward+backward" and self.gsplat and goals.peer and threads == 2:
            peer = bench_peers.gsplat_ms(self.gsplat, scene, self.budget)
            return Goals(peer / 25, peer / 60, peer)
        if stage == "step" and self.opensplat and threads == 2:
            return Goals(goals.first, goals.goal, opensplat_ms(self.opensplat, scene))
        return goals

    def find(self, scene: str, stage: str, threads: int) -> Result | None:
        wanted = (scene, stage, threads)
        return next((r for r in self.results if (r.scene, r.stage, r.threads) == wanted), None)

    def requirements(self) -> list[Requirement]:
        """The goals as ratios, of what was measured."""
        found: list[Requirement] = []

        def add(name: str, value: float | None, first: float, goal: float, larger_is_better: bool = False) -> None:
            if value is not None:
                found.append(Requirement(name, value, first, goal, larger_is_better))

        steps = [ratio for scene in [*GARDENS, FOX] if (ratio := self._peer_ratio(scene, "step")) is not None]
        add("step: times faster than OpenSplat, geometric mean", _mean(steps), 20, 50, True)
        add("step: times faster than OpenSplat, least", min(steps, default=None), 20, 40, True)
        passes = [ratio for scene in GARDENS if (ratio := self._peer_ratio(scene, "forward+backward")) is not None]
        add("forward+backward: times faster than gsplat's torch functions, mean", _mean(passes), 25, 60, True)
        for threads, ceilings in self.ceilings.items():
            on = f"{threads} thread{'s' * (threads > 1)}"
            for scene in GARDENS:
                forward, backward = self.find(scene, "blend", threads), self.find(scene, "blend backward", threads)
                if forward and backward:
                    pairs = bench_goals.SCENES[scene].pairs
                    assert pairs
                    share = pairs / (forward.splat_ms * 1e-3) / (ceilings.pairs_gs * 1e9)
                    add(f"blend: share of the pairs/s ceiling, {scene}, {on}", share, 0.5, 0.75, True)
                    add(f"blend: backward over forward, {scene}, {on}", backward.splat_ms / forward.splat_ms, 2.2, 1.7)
            for stage in ("project", "project backward"):
                if result := self.find(LARGEST_STEP, stage, threads):
                    nanoseconds = result.splat_ms * 1e6 * threads / 100_000
                    scale = bench_goals.scaled(1.0, stage, ceilings, threads) or 1.0
                    first, goal = (ns * scale for ns in bench_goals.PROJECT_NS)
                    add(f"{stage}: ns per Gaussian and thread, {on}", nanoseconds, first, goal)
            if adam := self.find(LARGEST_STEP, "adam", threads):
                floor = bench_goals.ADAM_BYTES * 100_000 / ceilings.triad_gbs * 1e-6
                add(f"adam: over a triad of the same bytes, {on}", adam.splat_ms / floor, 1.3, 1.1)
        step, single = self.find(LARGEST_STEP, "step", 2), self.find(LARGEST_STEP, "step", 1)
        python = self.find(LARGEST_STEP, "python", 2)
        if step and python:
            add(f"python: share of a step, {LARGEST_STEP}", python.splat_ms / step.splat_ms, 0.15, 0.05)
        if step and single and not self.budget.cpu_time:
            add(f"2 threads: times faster than 1, {LARGEST_STEP}", single.splat_ms / step.splat_ms, 1.6, 1.85, True)
        for scene in (LARGEST_STEP, *DRAWN):
            render = self.find(scene, "render", 2)
            if render and render.first_ms and render.goal_ms:
                name = f"render: frames a second, {scene}"
                add(name, 1000 / render.splat_ms, 1000 / render.first_ms, 1000 / render.goal_ms, True)
        return found

    def _peer_ratio(self, scene: str, stage: str) -> float | None:
        result = self.find(scene, stage, 2)
        return result.peer_ms / result.splat_ms if result and result.peer_ms else None


def _mean(ratios: list[float]) -> float | None:
    """Geometric."""
    return math.prod(ratios) ** (1 / len(ratios)) if ratios else None


def table(rows: list[list[str]], header: list[str]) -> str:
    """Markdown, padded so that it reads as plain text too; all columns but the first are right-aligned."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    rule = "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join([line(header), f"|{rule}|", *map(line, rows)])


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def share(value: float | None, ceiling: float) -> str:
    return "" if value is None else f"{100 * value / ceiling:.0f} %"


def report(benchmark: Benchmark) -> str:
    names = ["FMA GFLOP/s", "triad GB/s", "exp G/s", "blend Gpairs/s"]
    ceilings = [
        [f"{threads} thread{'s' * (threads > 1)}", *(number(value) for value in asdict(found).values())]
        for threads, found in benchmark.ceilings.items()
    ]
    parts = [table(ceilings, ["ceilings", *names])]
    threads = list(benchmark.ceilings)
    header = ["ms", *(f"{n} thread{'s' * (n > 1)}" for n in threads), "median", "first", "goal", "peer"]
    header += ["GFLOP/s", "of FMA", "GB/s", "of triad"]
    most = benchmark.ceilings[threads[-1]]
    for scene in dict.fromkeys(result.scene for result in benchmark.results):
        rows = []
        for stage in dict.fromkeys(result.stage for result in benchmark.results if result.scene == scene):
            found = [result for n in threads if (result := benchmark.find(scene, stage, n))]
            last = found[-1]
            bounds = [number(value) for value in (last.median_ms, last.first_ms, last.goal_ms, last.peer_ms)]
            rates = [number(last.gflops), share(last.gflops, most.fma_gflops)]
            rates += [number(last.gbs), share(last.gbs, most.triad_gbs)]
            rows.append([stage, *(number(result.splat_ms) for result in found), *bounds, *rates])
        pairs = f"{benchmark.pairs[scene] * 1e-6:.2f} million pairs"
        parts.append(f"{scene}: {pairs}\n\n{table(rows, header)}")
    rows = [[r.name, number(r.value), number(r.first), number(r.goal), _verdict(r)] for r in benchmark.requirements()]
    if rows:
        parts.append(table(rows, ["what must be reached", "measured", "first", "goal", "reached"]))
    return "\n\n".join(parts)


def _verdict(requirement: Requirement) -> str:
    if requirement.reaches(requirement.goal):
        return "goal"
    return "first" if requirement.reaches(requirement.first) else "no"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    choices = [*GARDENS, FOX, *DRAWN]
    parser.add_argument("--scene", action="append", choices=choices, metavar="NAME", help=f"only: {', '.join(choices)}")
    parser.add_argument("--seconds", type=float, default=0.8, help="to spend on each measurement (%(default)s)")
    parser.add_argument("--threads", type=_counts, default=[1, 2], metavar="N,N", help="numbers of threads (1,2)")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="CPU time over threads in place of elapsed time: hardly changed by other programs, but blind to waiting",
    )
    parser.add_argument(
        "--opensplat",
        type=Path,
        metavar="PROGRAM",
        help="a built opensplat: its steps are timed here and take the place of the stated, scaled ones",
    )
    options = parser.parse_args()
    scenes = options.scene or choices
    started = time.perf_counter()
    data_folder()
    isa = torch.ops.splat.cpu_isa()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = os.cpu_count() or 1
    print(f"{cores} cores, {isa}, torch {torch.__version__}, load {load:.1f} before the start", file=sys.stderr)
    if load > 0.5 * cores:
        print("Other programs are running: without --cpu-time the figures will be too high.", file=sys.stderr)
    benchmark = Benchmark(
        measure_ceilings(isa, options.threads, options.cpu_time),
        Budget(options.seconds, options.cpu_time),
        options.opensplat,
    )
    if benchmark.gsplat is None:
        print(
            "gsplat is not installed, so its times are the stated ones, scaled: "
            f"pip install --no-deps gsplat=={bench_peers.GSPLAT_VERSION}",
            file=sys.stderr,
        )
    for name in scenes:
        if name in GARDENS:
            benchmark.run(garden(*GARDENS[name]), stage_timings)
    if FOX in scenes:
        scene = fox()
        if scene is None:
            print(f"  {FOX}: left out, $SPLAT_DATA/fox is not there", file=sys.stderr)
        else:
            benchmark.run(scene, stage_timings)
    for name in scenes:
        if name in DRAWN:
            benchmark.run(garden(*DRAWN[name]), lambda scene, budget: {"render": render_timing(scene, budget)})
    print(report(benchmark))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    if options.json:
        _write_json(options.json, benchmark, isa, options.cpu_time)


def _counts(text: str) -> list[int]:
    counts = [int(word) for word in text.split(",")]
    if min(counts) < 1:
        raise ValueError
    return counts


def _write_json(path: Path, benchmark: Benchmark, isa: str, cpu_time: bool) -> None:
    found = {
        "isa": isa,
        "torch": torch.__version__,
        "clock": "cpu" if cpu_time else "elapsed",
        "ceilings": {str(threads): asdict(ceilings) for threads, ceilings in benchmark.ceilings.items()},
        "pairs": benchmark.pairs,
        "results": [asdict(result) | {"gflops": result.gflops, "gbs": result.gbs} for result in benchmark.results],
        "requirements": [asdict(requirement) for requirement in benchmark.requirements()],
    }
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    try:
        native.load()
        main()
    except (SplatError, ImportError) as error:
        sys.exit(str(error))
