"""Held-out quality of every densification strategy on every scene, under one protocol.

    SPLAT_DATA=DATA python scripts/bench_quality.py --json docs/benchmarks/quality.json
    SPLAT_DATA=DATA python scripts/bench_quality.py --scene fox lego --method adc mcmc --seed 0 1

A cell is a scene, a method and a seed: 2,000 steps with at most 40,000 Gaussians on photos of at most 480 pixels, every
eighth of them held out (Blender scenes bring their own split). PSNR and SSIM are those of `splat eval`: means over the
held-out photos of clamped renders, SSIM with a Gaussian window of 11 pixels. Each runs in a process of its own, with
as many threads as OMP_NUM_THREADS says, and is kept under --cache: an interrupted run goes on where it was. Prints a
Markdown table of all cells that are there and match the protocol.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from bench_scenes import data_folder

from splat.files import atomic
from splat.train.config import DataConfig, TrainConfig
from splat.train.listeners import EvalReport, Listener, StepReport
from splat.train.run import open_capture
from splat.train.trainer import Trainer

#: Scenes, and the factor that brings the longer side of their photos to at most 480 pixels.
SCENES = {"fox": 3, "bonsai": 2, "banana": 3, "sceaux_castle": 4, "brighton_beach": 3, "lego": 1}
METHODS = ("adc", "absgrad", "mcmc", "budgeted", "revising")
STEPS, MAX_GAUSSIANS, TEST_EVERY = 2_000, 40_000, 8
PROTOCOL = {"steps": STEPS, "max_gaussians": MAX_GAUSSIANS, "test_every": TEST_EVERY, "downscale": SCENES}
#: A cell that takes longer than this is given up, seconds.
PATIENCE = 1200

Cell = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--cache", type=Path, default=Path("runs/quality"), help="folder of cells that are done")
    parser.add_argument("--anew", action="store_true", help="measure cells again that are done")
    parser.add_argument("--json", type=Path, help="file to write all results to")
    parser.add_argument("--cell", action="store_true", help="measure the one cell here and print it as JSON")
    options = parser.parse_args()
    data = data_folder()
    if options.cell:
        print(json.dumps(measure(data, options.scene[0], options.method[0], options.seed[0])))
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    for seed in options.seed:
        for scene in options.scene:
            for method in options.method:
                path = options.cache / f"{scene}-{method}-{seed}.json"
                if options.anew or read(path) is None:
                    write(path, run_cell(scene, method, seed))
    results = [cell for path in sorted(options.cache.glob("*.json")) if (cell := read(path)) is not None]
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps({"protocol": PROTOCOL, "results": results}, indent=1) + "\n")


class Recorder(Listener):
    """The last evaluation, and the CPU seconds of all steps, in which other programs hardly show."""

    report: EvalReport
    cpu = 0.0

    def on_start(self, trainer: Trainer) -> None:
        self.since = time.process_time()

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        now = time.process_time()
        self.cpu += now - self.since
        self.since = now

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        self.report = report
        self.since = time.process_time()


def measure(data: Path, scene_name: str, method: str, seed: int) -> Cell:
    """One cell, in this process."""
    config = TrainConfig(
        iterations=STEPS,
        downscale=SCENES[scene_name],
        max_gaussians=MAX_GAUSSIANS,
        strategy=method,  # type: ignore[arg-type]
        seed=seed,
        device="cpu",
        data=DataConfig(test_every=TEST_EVERY),
    )
    recorder = Recorder()
    trainer = Trainer(open_capture(data / scene_name, config), config, [recorder])
    reason = trainer.run()
    if reason != "done":
        sys.exit(f"{scene_name} {method} {seed} was ended by {reason}")
    scores = recorder.report
    return {
        "scene": scene_name,
        "method": method,
        "seed": seed,
        "steps": trainer.step,
        "gaussians": trainer.count,
        "psnr": round(scores.psnr, 3),
        "ssim": round(scores.ssim, 4),
        "seconds": round(trainer.seconds, 1),
        "cpu_seconds": round(recorder.cpu, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": torch.get_num_threads(),
    }


def run_cell(scene: str, method: str, seed: int) -> Cell:
    """One cell, in a process of its own, so that memory is its own and a crash costs nothing else."""
    command = [sys.executable, __file__, "--cell", "--scene", scene, "--method", method, "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    cell = json.loads(done.stdout)
    print(f"  {cell}", file=sys.stderr, flush=True)
    return cell


def read(path: Path) -> Cell | None:
    """A cell that is done under this protocol."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["cell"] if content["protocol"] == PROTOCOL else None


def write(path: Path, cell: Cell) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps({"protocol": PROTOCOL, "cell": cell}), encoding="utf-8")


def table(results: list[Cell]) -> str:
    """Markdown, a line a scene and method, the mean over seeds; the best PSNR of a scene is bold."""
    rows: dict[tuple[str, str], list[Cell]] = {}
    for cell in results:
        rows.setdefault((cell["scene"], cell["method"]), []).append(cell)

    def mean(cells: list[Cell], name: str) -> float:
        return sum(cell[name] for cell in cells) / len(cells)

    lines = [
        "| scene | method | seeds | PSNR, dB | SSIM | Gaussians | seconds | CPU s | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for scene in SCENES:
        of_scene = {method: rows[scene, method] for method in METHODS if (scene, method) in rows}
        best = max((mean(cells, "psnr") for cells in of_scene.values()), default=0.0)
        for method, cells in of_scene.items():
            psnr = mean(cells, "psnr")
            shown = f"**{psnr:.2f}**" if psnr == best else f"{psnr:.2f}"
            times = f"{mean(cells, 'seconds'):.0f} | {mean(cells, 'cpu_seconds'):.0f} | {mean(cells, 'peak_mib'):,.0f}"
            scores = f"{shown} | {mean(cells, 'ssim'):.3f} | {mean(cells, 'gaussians'):,.0f}"
            lines.append(f"| {scene} | {method} | {len(cells)} | {scores} | {times} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
