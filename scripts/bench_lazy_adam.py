"""What it costs in quality that SH coefficients out of view wait for their optimiser's steps: runs with and without.

    python scripts/bench_lazy_adam.py DATA/fox --downscale 4 --iterations 1000 --seeds 3

Trains each seed twice: as the trainer does (`splat/ops/project_adam.py`: coefficients of what no view shows wait, and
make up for the missed steps later), and with Adam on every number at every step. Nothing is written.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from splat.ops.adam import adam
from splat.ops.project_adam import PARAMETERS, RATES
from splat.train.config import TrainConfig
from splat.train.frame import Frame
from splat.train.optimizer import Adam
from splat.train.run import open_capture
from splat.train.trainer import Trainer


class EveryStep(Adam):
    """Adam as it is written: every number at every step, its gradient 0 where no camera sees the Gaussian."""

    def step(self, number: int, rates: dict[str, float], frame: Frame) -> None:
        tensors, settings = [self.parameters[name].detach() for name in PARAMETERS], dict(frame.settings)
        seen, v = frame.projection, frame.cotangents()
        gradients = torch.ops.splat.project_backward.default(
            *tensors, frame.cameras.viewmats, frame.cameras.Ks, None, settings.pop("lenses"), *settings.values(),
            seen.extents.detach(), seen.colours.detach(), v.means2d, v.depths, v.conics, v.opacities, v.colours, False,
        )  # fmt: skip
        by_element: list[list[float]] = [[rates[name]] for name in PARAMETERS]
        by_element[4] = [rates["sh"]] * 3 + [rates[RATES[5]]] * (3 * tensors[4].shape[1] - 3)
        first, second, _ = self.state
        moments = ([table[name] for name in PARAMETERS] for table in (first, second))
        adam(tensors, gradients[:5], *moments, rates=by_element, step=number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--downscale", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| seed | waiting: PSNR, dB | every step: PSNR, dB | Gaussians | CPU s |\n|---|---|---|---|---|")
    differences = []
    for seed in range(options.seeds):
        config = TrainConfig(iterations=options.iterations, downscale=options.downscale, seed=seed, device="cpu")
        scene = open_capture(options.capture, config)
        found = []
        for optimizer in (Adam, EveryStep):
            trainer = Trainer(scene, config)
            trainer.optimizer = optimizer(trainer.representation.parameters)
            started = time.process_time()
            trainer.run()
            found.append((trainer.evaluate().psnr, trainer.count, time.process_time() - started))
        (psnr, count, cpu), (psnr_every, count_every, cpu_every) = found
        differences.append(psnr - psnr_every)
        counts, seconds = f"{count:,}, {count_every:,}", f"{cpu:.0f}, {cpu_every:.0f}"
        print(f"| {seed} | {psnr:.2f} | {psnr_every:.2f} | {counts} | {seconds} |", flush=True)
    print(f"\nDifference of the means: {statistics.mean(differences):+.2f} dB.")


if __name__ == "__main__":
    main()
