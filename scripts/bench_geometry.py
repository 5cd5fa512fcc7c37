"""What known depths and a far sphere gain where photos are few: held-out PSNR without and with each.

    SPLAT_DATA=DATA python scripts/bench_geometry.py sceaux_castle
    SPLAT_DATA=DATA python scripts/bench_geometry.py banana --rows nothing depth

2,000 steps as in scripts/bench_quality.py, by `budgeted`. The depths are those of the reconstruction's points, which
the photos show by its own account; every fourth photo is held out, so that few remain.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from bench_quality import MAX_GAUSSIANS, SCENES, STEPS
from bench_scenes import data_folder

from splat.errors import SplatError
from splat.train.config import CorrectionsConfig, DataConfig, InitConfig, TrainConfig
from splat.train.run import open_capture
from splat.train.trainer import Trainer

TEST_EVERY = 4
SKY = 5_000
ROWS = ("nothing", "depth", "sky")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--iterations", type=int, default=STEPS)
    parser.add_argument("--downscale", type=int, help="else that of bench_quality.py")
    parser.add_argument("--max-gaussians", type=int, default=MAX_GAUSSIANS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = TrainConfig(
        iterations=options.iterations,
        downscale=options.downscale or SCENES[options.scene],
        max_gaussians=options.max_gaussians,
        seed=options.seed,
        device="cpu",
        data=DataConfig(test_every=TEST_EVERY),
    )
    scene = open_capture(data_folder() / options.scene, config)
    configs = {
        "nothing": config,
        "depth": dataclasses.replace(config, corrections=CorrectionsConfig(depth=True)),
        "sky": dataclasses.replace(config, init=InitConfig(sky=SKY)),
    }
    print(f"| {options.scene}, {len(scene.train)} photos | PSNR, dB | SSIM | Gaussians | CPU s |")
    print("|---|---|---|---|---|")
    for row in options.rows:
        trainer = Trainer(scene, configs[row])
        started = time.process_time()
        if trainer.run() != "done":
            break
        seconds = time.process_time() - started
        scores = trainer.evaluate()
        print(f"| {row} | {scores.psnr:.2f} | {scores.ssim:.3f} | {trainer.count:,} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except SplatError as error:
        sys.exit(str(error))
