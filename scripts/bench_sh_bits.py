"""Time of training with SH coefficients and their optimiser state in 16 bits, by that with 32, taken in turns.

    OMP_WAIT_POLICY=passive python scripts/bench_sh_bits.py

On one thread, in its CPU time, on the made-up view of bench_memory.py, in which every Gaussian is seen. The least of
many, of what touches coefficients (projection, and its backward with the optimiser's step) and of the whole step.
"""

from __future__ import annotations

import time

import torch
from bench_memory import made_up

from splat.cameras import Cameras, intrinsics
from splat.ops.photometric import photometric_loss
from splat.ops.project_adam import RATES
from splat.train.frame import Frame
from splat.train.optimizer import Adam
from splat.train.representation import Plain

COUNT, WIDTH, HEIGHT, TURNS = 100_000, 640, 480, 40


def step(scene: Plain, optimizer: Adam, number: int) -> tuple[float, float]:
    """Seconds of what touches coefficients, and of the whole step."""
    camera = Cameras(torch.eye(4)[None], intrinsics(WIDTH, HEIGHT, 0.8)[None], WIDTH, HEIGHT)
    target = torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    started = time.thread_time()
    frame = Frame(scene.gaussians().detach(), camera, sh_degree=3, antialias="classic")
    projected = time.thread_time()
    photometric_loss(frame.render().rgb, target).backward()
    differentiated = time.thread_time()
    optimizer.step(number, dict.fromkeys(RATES, 1e-4), frame)
    ended = time.thread_time()
    return projected - started + ended - differentiated, ended - started


def main() -> None:
    torch.set_num_threads(1)
    scenes = {bits: made_up(COUNT, bits) for bits in (32, 16)}
    optimizers = {bits: Adam(scene.parameters) for bits, scene in scenes.items()}
    least = {bits: (float("inf"), float("inf")) for bits in scenes}
    for number in range(1, TURNS + 1):
        for bits, scene in scenes.items():
            part, whole = step(scene, optimizers[bits], number)
            least[bits] = min(least[bits][0], part), min(least[bits][1], whole)
    print("| | 32 bits, ms | 16 bits, ms | ratio |\n|---|---|---|---|")
    for place, name in enumerate(("projection, backward and Adam", "step")):
        full, half = least[32][place], least[16][place]
        print(f"| {name} | {1e3 * full:.1f} | {1e3 * half:.1f} | {half / full:.2f} |")


if __name__ == "__main__":
    main()
