"""Splat on a GPU in little: does it draw and learn there what it does on the CPU?

    python scripts/gpu_smoke.py tiny       a made-up scene, drawn once and trained for two steps: for compute-sanitizer
    python scripts/gpu_smoke.py train      the bundled capture, trained on the GPU and on the CPU, with a checkpoint
                                           carried from one to the other

Ends with status 1 where it does not, 2 without a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from splat.cameras import Cameras, intrinsics, look_at
from splat.errors import SplatError
from splat.gaussians import Gaussians
from splat.native import pick_device
from splat.ops.photometric import photometric_loss
from splat.render import render
from splat.train.frame import Frame
from splat.train.optimizer import Adam
from splat.train.representation import Plain

#: Relative error of an image and of gradients between the devices: both are float32, summed in other orders.
IMAGE, GRADIENT = 1e-4, 1e-3
#: Held-out PSNR may differ by so much, dB: training is chaotic, so devices part after some hundred steps.
PSNR = 0.7
RATES = {"means": 1e-4, "quats": 1e-3, "log_scales": 5e-3, "opacity_logits": 0.05, "sh": 2.5e-3, "sh_rest": 1e-4}


def made_up(count: int) -> tuple[Gaussians, Cameras]:
    """Gaussians in a ball, and two views whose sizes are no multiples of a tile."""
    generator = torch.Generator().manual_seed(0)
    gaussians = Gaussians(
        means=2 * torch.rand(count, 3, generator=generator) - 1,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=1.8 * torch.rand(count, 3, generator=generator) - 3.5,
        opacity_logits=torch.randn(count, generator=generator),
        sh=0.3 * torch.randn(count, 16, 3, generator=generator),
    )
    positions = torch.tensor([[0.0, 0.3, -3.0], [2.0, -0.4, -2.5]])
    viewmats = look_at(positions, torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    return gaussians, Cameras(viewmats, intrinsics(75, 53, 0.8).repeat(2, 1, 1), 75, 53)


def two_steps(device: torch.device) -> dict[str, torch.Tensor]:
    """Image and gradients of the first of two training steps, and the moments that the second leaves."""
    gaussians, cameras = made_up(300)
    cameras = cameras.to(device)
    representation = Plain(gaussians.to(device))
    optimizer = Adam(representation.parameters)
    found: dict[str, torch.Tensor] = {}
    for step in (1, 2):
        rendering = render(representation.gaussians(), cameras, depth=True, absgrad=True, antialias="antialiased")
        target = torch.full(rendering.rgb.shape, 0.5, device=device)
        photometric_loss(rendering.rgb, target).backward()
        if step == 1:
            gradients = {name: parameter.grad for name, parameter in representation.parameters.items()}
            found = {"image": rendering.rgb.detach(), **{name: g for name, g in gradients.items() if g is not None}}
        frame = Frame(representation.gaussians(), cameras, sh_degree=None, antialias="antialiased")
        # As in training, the lists have room for more than there is.
        photometric_loss(frame.render(absgrad=True, bound=1 << 16).rgb, target).backward()
        optimizer.step(step, RATES, frame)
    moments = {f"moment of {name}": tensor for name, tensor in optimizer.state[0].items()}
    return {name: tensor.cpu() for name, tensor in (found | moments).items()}


def tiny(device: torch.device) -> bool:
    ours, expected = two_steps(device), two_steps(torch.device("cpu"))
    right = True
    for name, tensor in expected.items():
        error = float((ours[name] - tensor).norm() / tensor.norm())
        good = error <= (IMAGE if name == "image" else GRADIENT)
        right = right and good
        print(f"{name:25} {error:.1e} {'' if good else 'WRONG'}")
    return right


def train(device: torch.device, iterations: int) -> bool:
    from splat.datasets import open_scene
    from splat.train.config import TrainConfig
    from splat.train.trainer import Trainer

    capture = open_scene(Path(__file__).resolve().parent.parent / "datasets" / "sample", downscale=4)
    scores: dict[str, float] = {}
    for name in (device.type, "cpu"):
        config = TrainConfig(iterations=iterations, max_gaussians=30_000, device=name)  # type: ignore[arg-type]
        trainer = Trainer(capture, config)
        started = time.perf_counter()
        trainer.run()
        seconds = time.perf_counter() - started
        report = trainer.evaluate()
        scores[name] = report.psnr
        print(f"{name}: {report.psnr:.2f} dB, SSIM {report.ssim:.4f}, {report.gaussians:,} Gaussians, {seconds:.1f} s")
        other = Trainer(capture, TrainConfig(iterations=iterations, max_gaussians=30_000, device="cpu"))
        other.restore(trainer.state())
        moved = other.evaluate().psnr
        print(f"  its checkpoint on the CPU: {moved:.2f} dB")
        if abs(moved - report.psnr) > 0.01:
            return False
    return abs(scores[device.type] - scores["cpu"]) <= PSNR


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tiny", "train"))
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--device", default="cuda", help="cpu only tries the script out")
    options = parser.parse_args()
    device = pick_device(options.device)
    right = tiny(device) if options.what == "tiny" else train(device, options.iterations)
    print("right" if right else "WRONG")
    return 0 if right else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SplatError, ImportError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
