"""How fast rendering and training are on this GPU, beside gsplat in the same run, and how far from what memory allows.

    python scripts/bench_gpu.py --points garden.npz --json gpu.json

The default takes about six minutes. `--points` is gsplat's assets/test_garden.npz; without it (or $SPLAT_POINTS) scenes
are made of the few points of the bundled capture, and are called after it. gsplat's columns stay empty where its wheel
is not installed or its kernels do not build. docs/benchmarks/gpu.md says how to read the figures.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch
from bench_gpu_floors import Counts, copy_bandwidth, count, floors
from bench_gpu_programs import STAGES, Gsplat, Program, Splat
from bench_scenes import BenchScene, Points, garden_points, sample_points, with_target
from torch import Tensor

from splat.errors import SplatError
from splat.files import atomic
from splat.native import pick_device

ROOT = Path(__file__).resolve().parent.parent
GAUSSIANS = {"0.1m": 100_000, "1m": 1_000_000, "6m": 6_000_000}
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
WARM_UPS, RUNS = 50, 200
#: The two programs must show the same picture: no comparison of speed means anything otherwise.
LEAST_PSNR = 50.0


@dataclass(frozen=True)
class Result:
    """One line of the table; None where there is no gsplat."""

    scene: str
    gaussians: int
    width: int
    height: int
    stage: str
    splat_ms: float
    gsplat_ms: float | None
    splat_peak_mib: float
    gsplat_peak_mib: float | None
    floor_ms: float


class Clock:
    """Times what runs on a device.

    Args:
        seconds: for one measurement, at most; so many runs as fit, up to RUNS.
    """

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self.seconds = device, seconds

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def median(self, run: Callable[[], object]) -> float:
        """Milliseconds, after runs that warm up."""
        run()
        self.wait()
        started = time.perf_counter()
        for _ in range(3):
            run()
        self.wait()
        fitting = int(self.seconds / max((time.perf_counter() - started) / 3, 1e-6))
        for _ in range(min(WARM_UPS, fitting // 4)):
            run()
        return statistics.median(self._times(run, max(5, min(RUNS, fitting))))

    def _times(self, run: Callable[[], object], runs: int) -> list[float]:
        if self.device.type != "cuda":
            ends = [time.perf_counter()]
            for _ in range(runs):
                run()
                ends.append(time.perf_counter())
            return [1e3 * (b - a) for a, b in zip(ends, ends[1:], strict=False)]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(runs + 1)]
        events[0].record()
        for event in events[1:]:
            run()
            event.record()
        self.wait()
        return [a.elapsed_time(b) for a, b in zip(events, events[1:], strict=False)]


def measure(make: Callable[[], Program], clock: Clock) -> tuple[float, float]:
    """Milliseconds and peak MiB of one stage of one program, alone on the device."""
    free(clock.device)
    cuda = clock.device.type == "cuda"
    before = torch.cuda.memory_allocated(clock.device) if cuda else 0
    program = make()
    if cuda:
        torch.cuda.reset_peak_memory_stats(clock.device)
    milliseconds = clock.median(program)
    peak = torch.cuda.max_memory_allocated(clock.device) - before if cuda else 0
    del program
    free(clock.device)
    return milliseconds, peak / 2**20


def free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * (a - b).square().double().mean().clamp(min=1e-20).log10())


class Benchmark:
    """All cells of the table, one after the other."""

    def __init__(self, points: Points, clock: Clock, bandwidth: float, gsplat: bool) -> None:
        self.points, self.clock, self.bandwidth, self.gsplat = points, clock, bandwidth, gsplat
        self.results: list[Result] = []
        #: What is beside the table: by cell, the counts that floors are made of and how equal the pictures are.
        self.cells: list[dict[str, object]] = []
        self.scene: BenchScene | None = None

    def run(self, gaussians: int, sizes: list[tuple[int, int]]) -> None:
        device = self.clock.device
        made = self.points.gaussians(gaussians)
        for width, height in sizes:
            name = self.points.scene(gaussians)
            on_device, camera = made.to(device), self.points.camera(width, height).to(device)
            scene = with_target(name, on_device, camera)
            counts = count(on_device, camera)
            # Each program makes its own copy of the parameters, and nothing else is there while it is measured.
            scene = BenchScene(name, made, camera, scene.target, scene.seen)
            del on_device
            self._cell(scene, counts)
            self.scene = scene

    def _cell(self, scene: BenchScene, counts: Counts) -> None:
        size = (scene.camera.width, scene.camera.height)
        cell: dict[str, object] = {"scene": scene.name, "width": size[0], "height": size[1], **asdict(counts)}
        if self.gsplat:
            equality = psnr(Splat(scene, "forward").image(), Gsplat(scene, "forward").image())
            cell["psnr_db"] = equality
            if not equality >= LEAST_PSNR:
                print(f"{scene.name} {size}: the pictures differ, {equality:.1f} dB", file=sys.stderr)
        cell["waiting_step_ms"], _ = measure(lambda: Splat(scene, "step", waits=True), self.clock)
        self.cells.append(cell)
        for stage in STAGES:
            ours = measure(lambda stage=stage: Splat(scene, stage), self.clock)
            theirs = self._theirs(scene, stage)
            floor = 1e3 * floors(counts)[stage] / self.bandwidth
            result = Result(
                scene.name, len(scene.gaussians), *size, stage, ours[0], theirs[0], ours[1], theirs[1], floor
            )
            self.results.append(result)
            print(line(result), flush=True)

    def _theirs(self, scene: BenchScene, stage: str) -> tuple[float, float] | tuple[None, None]:
        if not self.gsplat:
            return None, None
        try:
            return measure(lambda: Gsplat(scene, stage), self.clock)
        except torch.OutOfMemoryError:
            print(f"{scene.name} {stage}: gsplat runs out of memory", file=sys.stderr)
            return None, None


def line(result: Result) -> str:
    ratio = "" if result.gsplat_ms is None else f"{result.gsplat_ms:9.3f} {result.gsplat_ms / result.splat_ms:6.2f}x"
    memory = "" if result.gsplat_peak_mib is None else f" of {result.gsplat_peak_mib:.0f}"
    where = f"{result.scene:12} {result.width}x{result.height} {result.stage:17}"
    share = result.floor_ms / result.splat_ms
    return f"{where} {result.splat_ms:9.3f} ms {ratio}  floor {share:4.0%}  {result.splat_peak_mib:.0f}{memory} MiB"


def kernel_times(scene: BenchScene, counts: Counts, bandwidth: float, steps: int = 20) -> dict[str, object]:
    """Each op of a step and each kernel: ms a step, by torch's profiler; beside the ops the floors of their bytes."""
    program = Splat(scene, "step")
    for _ in range(5):
        program()
    torch.cuda.synchronize()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    ) as profile:
        for _ in range(steps):
            program()
        torch.cuda.synchronize()
    limits = {op: 1e3 * size / bandwidth for op, size in counts.bytes_by_op().items()}
    ops: dict[str, dict[str, float | None]] = {}
    kernels: dict[str, dict[str, float]] = {}
    for event in profile.key_averages():
        milliseconds = event.device_time_total / 1e3 / steps
        if event.key.startswith("splat::"):
            ops[event.key[7:]] = {"ms": milliseconds, "floor_ms": limits.get(event.key[7:])}
        elif event.device_type == torch.profiler.DeviceType.CUDA:
            kernels[event.key] = {"ms": milliseconds, "launches": event.count / steps}
    return {
        "scene": scene.name,
        "width": scene.camera.width,
        "height": scene.camera.height,
        "ops": ops,
        "kernels": dict(sorted(kernels.items(), key=lambda item: -item[1]["ms"])),
    }


def machine(device: torch.device) -> dict[str, str]:
    """gpu, driver, commit and date, as the table's file begins."""

    def said(*command: str) -> str:
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return ""
        return done.splitlines()[0].strip() if done.strip() else ""

    return {
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "none",
        "driver": said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or "unknown",
        "commit": os.environ.get("SPLAT_COMMIT") or said("git", "rev-parse", "--short", "HEAD") or "unknown",
        "date": date.today().isoformat(),
    }


def write_json(path: Path, content: object) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, and FILE-details.json beside")
    parser.add_argument("--points", type=Path, default=os.environ.get("SPLAT_POINTS"), metavar="FILE")
    parser.add_argument(
        "--scenes", nargs="+", choices=GAUSSIANS, default=list(GAUSSIANS), help="Gaussians, in millions"
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement at most (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="0.1m and 1m at 1080p, half a second each")
    parser.add_argument("--no-gsplat", action="store_true", help="leave gsplat out")
    parser.add_argument("--gaussians", type=int, nargs="+", metavar="N", help="other numbers than those of --scenes")
    parser.add_argument("--device", default="cuda", help="cpu only tries the script out: its times mean nothing")
    options = parser.parse_args()
    if options.quick:
        options.scenes, options.sizes, options.seconds = ["0.1m", "1m"], ["1080p"], 0.5
    device = pick_device(options.device)
    clock = Clock(device, options.seconds)
    points = sample_points() if options.points is None else garden_points(Path(options.points))
    problem = "left out" if options.no_gsplat else Gsplat.problem(device)
    if problem:
        print(f"No gsplat beside: {problem}", file=sys.stderr)
    bandwidth = copy_bandwidth(device, clock.median)
    facts = machine(device)
    print(f"{facts['gpu']}, driver {facts['driver']}, torch {torch.__version__}; copies {bandwidth / 1e9:.0f} GB/s")
    benchmark = Benchmark(points, clock, bandwidth, gsplat=not problem)
    started = time.perf_counter()

    def save(profiled: dict[str, object] | None = None) -> None:
        """After each scene, so that what cuts the run short leaves what there is."""
        if options.json is None:
            return
        write_json(options.json, {**facts, "results": [asdict(result) for result in benchmark.results]})
        details = {
            **facts,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "copy_gb_s": bandwidth / 1e9,
            "gsplat": problem or Gsplat.version(),
            "cells": benchmark.cells,
            "profile": profiled,
        }
        write_json(options.json.with_name(f"{options.json.stem}-details.json"), details)

    for gaussians in options.gaussians or [GAUSSIANS[name] for name in options.scenes]:
        benchmark.run(gaussians, [SIZES[name] for name in options.sizes])
        save()
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    if device.type == "cuda":
        middle = options.gaussians[0] if options.gaussians else GAUSSIANS[options.scenes[len(options.scenes) // 2]]
        width, height = SIZES["1080p"]
        made, camera = points.gaussians(middle).to(device), points.camera(width, height).to(device)
        scene = with_target(points.scene(middle), made, camera)
        profiled = kernel_times(scene, count(made, camera), bandwidth)
        save(profiled)
        print(json.dumps(profiled, indent=1))


if __name__ == "__main__":
    try:
        main()
    except (SplatError, ImportError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
