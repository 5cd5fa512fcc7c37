"""What refining poses mends: held-out PSNR and pose errors with the poses of a capture, with worse ones, and refined.

    SPLAT_DATA=DATA python scripts/bench_poses.py fox
    SPLAT_DATA=DATA python scripts/bench_poses.py fox --degrees 1 --share 0.01

The poses of the training photos are turned by so many degrees about a random axis and displaced by so large a share of
the extent, and each point of the reconstruction by as much; 2,000 steps by `budgeted`, else as in
scripts/bench_quality.py. Errors are means over the training photos after the similarity that fits the cameras best,
which the scene follows before it is compared with the held-out photos: at their poses as they were, and at those
fitted to the scene (splat/evaluate/poses.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
import time

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from bench_quality import MAX_GAUSSIANS, SCENES, STEPS
from bench_scenes import data_folder
from torch import Tensor

from splat.cameras import Cameras, moved
from splat.datasets.scene import Scene, View
from splat.errors import SplatError
from splat.evaluate.metrics import evaluate_views, mean
from splat.train.config import CorrectionsConfig, TrainConfig
from splat.train.run import open_capture
from splat.train.trainer import Trainer


def perturbed(scene: Scene, degrees: float, share: float, seed: int) -> Scene:
    """The scene with worse poses of its training photos and worse points."""
    generator = torch.Generator().manual_seed(seed)

    def directions(count: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1).double()

    turn, shift = math.radians(degrees), share * scene.extent
    twists = torch.cat([turn * directions(len(scene.train)), shift * directions(len(scene.train))], dim=1)
    views = list(scene.views)
    for view, twist in zip(scene.train, twists, strict=True):
        camera = views[view].camera
        viewmat = moved(camera.viewmats[0].double(), twist).to(camera.viewmats)
        views[view] = View(views[view].name, dataclasses.replace(camera, viewmats=viewmat[None]))
    points = scene.points + shift * directions(len(scene.points)).float()
    return dataclasses.replace(scene, views=views, points=points)


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """[4, 4] that takes points [V, 3] closest to others, in least squares: Umeyama, 1991."""
    means = source.mean(0), target.mean(0)
    centred, wanted = source - means[0], target - means[1]
    left, values, right = torch.linalg.svd(wanted.T @ centred)
    signs = torch.ones(3, dtype=source.dtype)
    signs[2] = torch.sign(torch.linalg.det(left) * torch.linalg.det(right))
    scale = (values * signs).sum() / centred.square().sum()
    found = torch.eye(4, dtype=source.dtype)
    found[:3, :3] = scale * (left * signs) @ right
    found[:3, 3] = means[1] - found[:3, :3] @ means[0]
    return found


def errors(found: Cameras, truth: Cameras, extent: float) -> tuple[Tensor, float, float]:
    """The similarity to the true world, and the mean errors after it: degrees, and shares of the extent."""
    aligned = similarity(found.positions.double(), truth.positions.double())
    positions = found.positions.double() @ aligned[:3, :3].T + aligned[:3, 3]
    turn = aligned[:3, :3] / torch.linalg.det(aligned[:3, :3]) ** (1 / 3)
    rotations = found.viewmats[:, :3, :3].double() @ turn.T
    relative = rotations @ truth.viewmats[:, :3, :3].double().transpose(1, 2)
    cosines = (relative.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    degrees = float(cosines.clamp(-1, 1).acos().mean().rad2deg())
    return aligned, degrees, float((positions - truth.positions).norm(dim=1).mean()) / extent


def measure(name: str, scene: Scene, truth: Scene, config: TrainConfig) -> str:
    """One line of the table."""
    trainer = Trainer(scene, config)
    started = time.process_time()
    trainer.run()
    seconds = time.process_time() - started
    found = [trainer.corrections.camera(view, scene.views[view].camera) for view in scene.train]
    true = [truth.views[view].camera for view in scene.train]
    aligned, degrees, share = errors(Cameras.concat(found), Cameras.concat(true), scene.extent)
    gaussians = trainer.gaussians().transform(aligned)
    views = evaluate_views(gaussians, truth, truth.test, antialias=config.antialias, align=True)
    psnr, fitted, ssim = (mean(views, score) for score in ("psnr", "psnr_aligned", "ssim"))
    return f"| {name} | {psnr:.2f} | {fitted:.2f} | {ssim:.3f} | {degrees:.3f} | {100 * share:.3f} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("--degrees", type=float, default=0.5)
    parser.add_argument("--share", type=float, default=0.01, help="of the extent")
    parser.add_argument("--iterations", type=int, default=STEPS)
    parser.add_argument("--downscale", type=int, help="else that of bench_quality.py")
    parser.add_argument("--max-gaussians", type=int, default=MAX_GAUSSIANS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", choices=("true", "true refined", "worse", "worse refined"))
    options = parser.parse_args()
    config = TrainConfig(
        iterations=options.iterations,
        downscale=options.downscale or SCENES[options.scene],
        max_gaussians=options.max_gaussians,
        strategy="budgeted",
        seed=options.seed,
        device="cpu",
    )
    refining = dataclasses.replace(config, corrections=CorrectionsConfig(poses=True))
    truth = open_capture(data_folder() / options.scene, config)
    worse = perturbed(truth, options.degrees, options.share, options.seed)
    rows = {
        "true": (truth, config),
        "true refined": (truth, refining),
        "worse": (worse, config),
        "worse refined": (worse, refining),
    }
    print(f"| {options.scene}, poses | PSNR, dB | fitted, dB | SSIM | degrees off | % of the extent off | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for name in options.rows or rows:
        scene, chosen = rows[name]
        print(measure(name, scene, truth, chosen), flush=True)


if __name__ == "__main__":
    try:
        main()
    except SplatError as error:
        sys.exit(str(error))
