"""Bytes that a Gaussian takes while it is trained on a CPU: the peak of a step's memory by the number of Gaussians.

    python scripts/bench_memory.py [--sh-bits 16]

Each number runs in a process of its own, on one made-up view of 320x240 in which every Gaussian is seen; the slope
between two of them leaves out what does not depend on their number.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch

from splat.cameras import Cameras, intrinsics
from splat.gaussians import Gaussians
from splat.ops.photometric import photometric_loss
from splat.ops.project_adam import RATES
from splat.train.frame import Frame
from splat.train.init import SH_DTYPES
from splat.train.optimizer import Adam
from splat.train.representation import Plain

SIZES = (500_000, 1_000_000, 2_000_000)
STEPS = 4


def made_up(count: int, sh_bits: int) -> Plain:
    """Gaussians of SH degree 3, all in view and about a pixel wide."""
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(count, 3, generator=generator) * torch.tensor([1.2, 0.9, 1.0]) + torch.tensor([-0.6, -0.45, 1.5])
    quats = torch.randn(count, 4, generator=generator)
    sh = torch.zeros(count, 16, 3, dtype=SH_DTYPES[sh_bits])
    return Plain(Gaussians(means, quats, torch.full((count, 3), -6.0), torch.zeros(count), sh))


def peak_bytes(count: int, sh_bits: int) -> int:
    """Peak memory of this process after some steps on so many Gaussians."""
    scene = made_up(count, sh_bits)
    optimizer = Adam(scene.parameters)
    camera = Cameras(torch.eye(4)[None], intrinsics(320, 240, 0.8)[None], 320, 240)
    target = torch.zeros(1, 240, 320, 3, dtype=torch.uint8)
    for number in range(1, STEPS + 1):
        frame = Frame(scene.gaussians().detach(), camera, sh_degree=3, antialias="classic")
        photometric_loss(frame.render().rgb, target).backward()
        optimizer.step(number, dict.fromkeys(RATES, 1e-4), frame)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sh-bits", type=int, choices=SH_DTYPES, default=32)
    parser.add_argument("--count", type=int, help="only this many Gaussians, in this process: prints the peak's bytes")
    options = parser.parse_args()
    if options.count is not None:
        print(peak_bytes(options.count, options.sh_bits))
        return
    peaks = []
    for count in SIZES:
        command = [sys.executable, __file__, "--count", str(count), "--sh-bits", str(options.sh_bits)]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(finished.stdout))
        print(f"{count:,} Gaussians: {peaks[-1] / 1e6:,.0f} MB at the peak", flush=True)
    print(f"{(peaks[-1] - peaks[0]) / (SIZES[-1] - SIZES[0]):,.0f} bytes a Gaussian")


if __name__ == "__main__":
    main()
