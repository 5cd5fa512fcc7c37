"""Held-out quality of every densification strategy on every scene, under one protocol, beside gsplat's own.

    SPLAT_DATA=DATA python scripts/bench_quality.py --json docs/benchmarks/quality.json
    SPLAT_DATA=DATA python scripts/bench_quality.py --scene fox lego --method adc gsplat-mcmc --seed 0 1
    SPLAT_DATA=DATA python scripts/bench_quality.py --steps 700 --method splat

A cell is a scene, a method and a seed: 2,000 steps with at most 40,000 Gaussians on photos of at most 480 pixels, every
eighth of them held out (Blender scenes bring their own split). PSNR and SSIM are those of `splat eval`: means over the
held-out photos of clamped renders, SSIM with a Gaussian window of 11 pixels; LPIPS where its package is. Each runs in a
process of its own, with as many threads as OMP_NUM_THREADS says, and is kept under --cache: an interrupted run goes on
where it was. Prints a Markdown table of all cells of that many steps that are there and match the protocol.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from bench_scenes import data_folder

from splat.evaluate.metrics import evaluate_views
from splat.evaluate.perceptual import lpips_metric
from splat.files import atomic
from splat.train.config import DataConfig, TrainConfig
from splat.train.listeners import EvalReport, Listener, StepReport
from splat.train.run import open_capture
from splat.train.trainer import Trainer

#: Scenes, and the factor that brings the longer side of their photos to at most 480 pixels.
SCENES = {"fox": 3, "bonsai": 2, "banana": 3, "sceaux_castle": 4, "brighton_beach": 3, "lego": 1}
METHODS = ("splat", "adc", "absgrad", "mcmc", "budgeted", "revising", "gsplat-default", "gsplat-mcmc")
STEPS, MAX_GAUSSIANS, TEST_EVERY = 2_000, 40_000, 8
#: A cell that takes longer than this is given up, seconds.
PATIENCE = 1200

Cell = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cache", type=Path, default=Path("runs/quality"), help="folder of cells that are done")
    parser.add_argument("--anew", action="store_true", help="measure cells again that are done")
    parser.add_argument("--json", type=Path, help="file to write all results to")
    parser.add_argument("--cell", action="store_true", help="measure the one cell here and print it as JSON")
    options = parser.parse_args()
    data = data_folder()
    if options.cell:
        print(json.dumps(measure(data, options.scene[0], options.method[0], options.seed[0], options.steps)))
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    for seed in options.seed:
        for scene in options.scene:
            for method in options.method:
                length = "" if options.steps == STEPS else f"-{options.steps}"
                path = options.cache / f"{scene}-{method}-{seed}{length}.json"
                if options.anew or read(path, options.steps) is None:
                    write(path, run_cell(scene, method, seed, options.steps))
    cells = (read(path, options.steps) for path in sorted(options.cache.glob("*.json")))
    results = [cell for cell in cells if cell is not None]
    print(table(results))
    if options.json:
        content = {"protocol": protocol(options.steps), "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


def protocol(steps: int) -> dict[str, Any]:
    """What cells must agree in to be compared."""
    return {"steps": steps, "max_gaussians": MAX_GAUSSIANS, "test_every": TEST_EVERY, "downscale": SCENES}


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


def measure(data: Path, scene_name: str, method: str, seed: int, steps: int) -> Cell:
    """One cell, in this process."""
    peer = method.partition("gsplat-")[2]
    config = TrainConfig(
        iterations=steps,
        downscale=SCENES[scene_name],
        max_gaussians=MAX_GAUSSIANS,
        strategy="adc" if peer else method,  # type: ignore[arg-type]
        seed=seed,
        device="cpu",
        data=DataConfig(test_every=TEST_EVERY),
    )
    scene = open_capture(data / scene_name, config)
    if peer:
        from gsplat_peer import train

        gaussians, seconds, cpu = train(scene, config, peer)
    else:
        recorder = Recorder()
        trainer = Trainer(dataclasses.replace(scene, test=[]), config, [recorder])
        reason = trainer.run()
        if reason != "done":
            sys.exit(f"{scene_name} {method} {seed} was ended by {reason}")
        gaussians, seconds, cpu = trainer.gaussians(), trainer.seconds, recorder.cpu
    background, lpips = torch.tensor(scene.background or (0.0, 0.0, 0.0)), lpips_metric(torch.device("cpu"))[0]
    views = evaluate_views(gaussians, scene, scene.test, antialias=config.antialias, background=background, lpips=lpips)
    cell = {
        "scene": scene_name,
        "method": method,
        "seed": seed,
        "steps": steps,
        "gaussians": len(gaussians),
        "psnr": round(sum(view.psnr for view in views) / len(views), 3),
        "ssim": round(sum(view.ssim for view in views) / len(views), 4),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": torch.get_num_threads(),
    }
    if lpips is not None:
        cell["lpips"] = round(sum(view.lpips or 0 for view in views) / len(views), 4)
    return cell


def run_cell(scene: str, method: str, seed: int, steps: int) -> Cell:
    """One cell, in a process of its own, so that memory is its own and a crash costs nothing else."""
    command = [sys.executable, __file__, "--cell", "--scene", scene, "--method", method]
    command += ["--seed", str(seed), "--steps", str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    cell = json.loads(done.stdout)
    print(f"  {cell}", file=sys.stderr, flush=True)
    return cell


def read(path: Path, steps: int) -> Cell | None:
    """A cell that is done under this protocol."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["cell"] if content["protocol"] == protocol(steps) else None


def write(path: Path, cell: Cell) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps({"protocol": protocol(cell["steps"]), "cell": cell}), encoding="utf-8")


def table(results: list[Cell]) -> str:
    """Markdown, a line a scene and method: means over seeds, and PSNR's standard deviation; a scene's best is bold."""
    rows: dict[tuple[str, str], list[Cell]] = {}
    for cell in results:
        rows.setdefault((cell["scene"], cell["method"]), []).append(cell)

    def mean(cells: list[Cell], name: str) -> float:
        return sum(cell[name] for cell in cells) / len(cells)

    lines = [
        "| scene | method | seeds | PSNR, dB | SSIM | LPIPS | Gaussians | seconds | CPU s | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scene in SCENES:
        of_scene = {method: rows[scene, method] for method in METHODS if (scene, method) in rows}
        best = max((mean(cells, "psnr") for cells in of_scene.values()), default=0.0)
        for method, cells in of_scene.items():
            psnr = mean(cells, "psnr")
            shown = f"**{psnr:.2f}**" if psnr == best else f"{psnr:.2f}"
            if len(cells) > 1:
                shown += f" ± {statistics.stdev(cell['psnr'] for cell in cells):.2f}"
            times = f"{mean(cells, 'seconds'):.0f} | {mean(cells, 'cpu_seconds'):.0f} | {mean(cells, 'peak_mib'):,.0f}"
            lpips = f"{mean(cells, 'lpips'):.3f}" if all("lpips" in cell for cell in cells) else "-"
            scores = f"{shown} | {mean(cells, 'ssim'):.3f} | {lpips} | {mean(cells, 'gaussians'):,.0f}"
            lines.append(f"| {scene} | {method} | {len(cells)} | {scores} | {times} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
