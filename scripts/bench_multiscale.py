"""How a scene looks nearer and farther than it was trained: held-out PSNR at several image sizes, by antialias mode.

    SPLAT_DATA=DATA python scripts/bench_multiscale.py lego       # trained at full size, seen smaller and smaller
    SPLAT_DATA=DATA python scripts/bench_multiscale.py bonsai     # trained at an eighth, seen larger and larger

Prints the tables of docs/benchmarks/multiscale.md; --pictures writes a held-out view at each size, modes side by side.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bench_scenes import data_folder
from PIL import Image

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.evaluate.metrics import evaluate_views
from splat.gaussians import Gaussians
from splat.render import ANTIALIAS, render
from splat.train.config import ResolutionConfig, TrainConfig
from splat.train.density import STRATEGIES
from splat.train.run import open_capture
from splat.train.trainer import Trainer

#: Factor by which photos are scaled down: in training, and in the tests.
TRAINED = {"lego": 1, "bonsai": 8}
TESTED = {"lego": (1, 2, 4, 8), "bonsai": (8, 4, 2, 1)}
CONFIG = TrainConfig(iterations=2000, max_gaussians=40_000)
HEIGHT = 360  # of a picture, px


def train(scene: Scene, config: TrainConfig) -> Gaussians:
    trainer = Trainer(scene, config)
    trainer.run()
    return trainer.gaussians()


def picture(gaussians: dict[str, Gaussians], scene: Scene) -> Image.Image:
    """The first held-out view: the photo, and what each mode renders, pixels enlarged."""
    view = scene.test[0]
    camera = scene.views[view].camera
    background = torch.tensor(scene.background or (0.0, 0.0, 0.0))
    rows = [scene.image(view)[..., :3].float() / 255]
    with torch.no_grad():
        rows += [
            render(found, camera, background=background, antialias=mode).rgb[0] for mode, found in gaussians.items()
        ]
    tiles = [Image.fromarray((image.clamp(0, 1).numpy() * 255).astype(np.uint8)) for image in rows]
    width = round(HEIGHT * camera.width / camera.height)
    wide = Image.new("RGB", (width * len(tiles), HEIGHT))
    for i, tile in enumerate(tiles):
        wide.paste(tile.resize((width, HEIGHT), Image.Resampling.NEAREST), (width * i, 0))
    return wide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", choices=list(TRAINED))
    parser.add_argument("--iterations", type=int, default=CONFIG.iterations)
    parser.add_argument("--strategy", choices=STRATEGIES, default=CONFIG.strategy)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    folder = data_folder() / options.scene
    trained, tested = TRAINED[options.scene], TESTED[options.scene]
    config = replace(
        CONFIG, iterations=options.iterations, strategy=options.strategy, seed=options.seed, downscale=trained
    )
    if trained > 1:
        config = replace(config, resolution=ResolutionConfig(coarsest=1))  # photos are small enough already
    scenes = {factor: open_capture(folder, replace(config, downscale=factor)) for factor in tested}
    found: dict[str, Gaussians] = {}
    print(f"| {options.scene} | {' | '.join(f'1/{factor}' for factor in tested)} | mean | Gaussians |")
    print("|---" * (len(tested) + 3) + "|")
    for mode in ANTIALIAS:
        found[mode] = train(scenes[trained], replace(config, antialias=mode))  # type: ignore[arg-type]
        scores = []
        for scene in scenes.values():
            background = torch.tensor(scene.background or (0.0, 0.0, 0.0))
            views = evaluate_views(found[mode], scene, scene.test, antialias=mode, background=background)
            scores.append(sum(view.psnr for view in views) / len(views))
        cells = [*(f"{score:.2f}" for score in scores), f"{sum(scores) / len(scores):.2f}", f"{len(found[mode]):,}"]
        print(f"| {mode} | {' | '.join(cells)} |", flush=True)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for factor, scene in scenes.items():
            picture(found, scene).save(options.pictures / f"{options.scene}-{factor}.png")


if __name__ == "__main__":
    try:
        main()
    except SplatError as error:
        sys.exit(str(error))
