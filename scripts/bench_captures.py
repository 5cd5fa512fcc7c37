"""What `--corrections.exposure` and `.transients` gain on captures that need them, and cost on one that doesn't.

    SPLAT_DATA=DATA python scripts/bench_captures.py
    SPLAT_DATA=DATA python scripts/bench_captures.py --variant exposure --correction none affine

A capture's photos are changed as they are read, each time in the same way (changed_photos.py). Small, since these are
comparisons: 2,000 steps, at most 20,000 Gaussians, photos of at most 240 pixels, every eighth held out. Held-out photos
are changed as well, but show no people. Cells run one after the other, in processes of their own, and are kept under
--cache. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from bench_quality import SCENES, TEST_EVERY, Recorder
from bench_scenes import data_folder
from changed_photos import Change, exposed, locally_exposed, people
from torch import Tensor

from splat.datasets.cache import ImageCache
from splat.datasets.scene import CACHE_BYTES, Scene
from splat.files import atomic
from splat.train.config import CorrectionsConfig, DataConfig, TrainConfig
from splat.train.corrections.transients import transient
from splat.train.run import open_capture
from splat.train.trainer import Trainer

STEPS, MAX_GAUSSIANS = 2000, 20_000
#: By how much smaller than those of bench_quality.py the photos are.
SMALLER = 2
CORRECTIONS = {
    "none": CorrectionsConfig(),
    "affine": CorrectionsConfig(exposure="affine"),
    "bilateral": CorrectionsConfig(exposure="bilateral"),
    "transients": CorrectionsConfig(transients=True),
}
VARIANTS = ("clean", "exposure", "local", "people")
#: Scene and variant, and the corrections that are tried on it.
CELLS = {
    ("fox", "clean"): ("none", "affine", "bilateral", "transients"),
    ("fox", "exposure"): ("none", "affine", "bilateral"),
    ("fox", "local"): ("none", "affine", "bilateral"),
    ("fox", "people"): ("none", "transients"),
    ("brighton_beach", "clean"): ("none", "affine"),
    ("sceaux_castle", "clean"): ("none", "affine"),
}
#: Share of the photos that are trained on in which there are people.
WITH_PEOPLE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--correction", nargs="+", choices=CORRECTIONS, default=list(CORRECTIONS))
    parser.add_argument("--cache", type=Path, default=Path("runs/captures"), help="folder of cells that are done")
    parser.add_argument("--cell", action="store_true", help="measure the one cell here and print it as JSON")
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(measure(options.scene[0], options.variant[0], options.correction[0])))
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    cells = []
    for (scene, variant), corrections in CELLS.items():
        if scene in options.scene and variant in options.variant:
            asked = [correction for correction in corrections if correction in options.correction]
            cells += [kept(options.cache, scene, variant, correction) for correction in asked]
    print(table(cells))


def measure(scene_name: str, variant: str, correction: str) -> dict[str, Any]:
    """One cell, in this process."""
    config = TrainConfig(
        iterations=STEPS,
        downscale=SMALLER * SCENES[scene_name],
        max_gaussians=MAX_GAUSSIANS,
        device="cpu",
        data=DataConfig(test_every=TEST_EVERY),
        corrections=CORRECTIONS[correction],
    )
    scene = open_capture(data_folder() / scene_name, config)
    covered = add_people(scene) if variant == "people" else {}
    if variant in ("exposure", "local"):
        change(scene, exposed if variant == "exposure" else locally_exposed)
    recorder = Recorder()
    trainer = Trainer(scene, config, [recorder])
    reason = trainer.run()
    if reason != "done":
        sys.exit(f"{scene_name} {variant} {correction} was ended by {reason}")
    scores = recorder.report
    return {
        "scene": scene_name,
        "variant": variant,
        "correction": correction,
        "psnr": round(scores.psnr, 3),
        "psnr_corrected": round(scores.psnr_corrected, 3),
        "ssim": round(scores.ssim, 4),
        "cpu_seconds": round(recorder.cpu, 1),
        **found(trainer, covered),
    }


def change(scene: Scene, how: Change) -> None:
    """Has each photo changed, by random numbers of its own."""
    original = scene.cache

    def decode(index: int) -> tuple[Tensor, Tensor | None]:
        photo, mask = original.get(index)
        return torch.from_numpy(how(photo.numpy(), np.random.default_rng(index))), mask

    scene.cache = ImageCache(decode, CACHE_BYTES)


def add_people(scene: Scene) -> dict[int, Tensor]:
    """Has people in some of the photos that are trained on; where [H, W] bool, by view."""
    chosen = np.random.default_rng(0).permutation(scene.train)[: round(WITH_PEOPLE * len(scene.train))]
    drawn = {}
    for view in chosen.tolist():
        camera = scene.views[view].camera
        drawn[view] = people((camera.height, camera.width), np.random.default_rng(view))
    original = scene.cache

    def decode(index: int) -> tuple[Tensor, Tensor | None]:
        photo, mask = original.get(index)
        if index in drawn:
            picture, where = drawn[index]
            photo = torch.from_numpy(np.where(where[..., None], picture, photo))
        return photo, mask

    scene.cache = ImageCache(decode, CACHE_BYTES)
    return {view: torch.from_numpy(where) for view, (_, where) in drawn.items()}


def found(trainer: Trainer, covered: dict[int, Tensor]) -> dict[str, float]:
    """Of the pixels that training passed over at its end, the share that were people, and of people's the share that
    it passed over; and of all pixels the share."""
    if not trainer.config.corrections.transients:
        return {}
    passed = people = both = pixels = 0
    for view in trainer.scene.train:
        look = trainer._look(view)
        out = transient(look.rgb.detach(), look.photo(), look.mask)[0]
        there = covered.get(view, torch.zeros_like(out))
        passed, people, both = passed + int(out.sum()), people + int(there.sum()), both + int((out & there).sum())
        pixels += out.numel()
    shares = {"passed_over": passed / pixels}
    if people:
        shares |= {"precision": both / max(passed, 1), "recall": both / people}
    return {name: round(share, 4) for name, share in shares.items()}


def kept(cache: Path, scene: str, variant: str, correction: str) -> dict[str, Any]:
    """A cell from the cache, or measured in a process of its own."""
    path = cache / f"{scene}-{variant}-{correction}.json"
    if not path.exists():
        command = [sys.executable, __file__, "--cell", "--scene", scene, "--variant", variant]
        command += ["--correction", correction]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"  {done.stdout.strip()}", file=sys.stderr, flush=True)
        with atomic(path) as temporary:
            temporary.write_text(done.stdout, encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def table(cells: list[dict[str, Any]]) -> str:
    """Markdown, a line a cell."""
    head = ["scene", "photos", "corrected", "PSNR, dB", "colours fitted, dB", "SSIM", "CPU s"]
    shares = {"passed_over": "passed over", "precision": "precision", "recall": "recall"}
    rows = [[*head, *shares.values()], ["---"] * (len(head) + len(shares))]
    for cell in cells:
        names = [cell["scene"], cell["variant"], cell["correction"]]
        scores = [f"{cell['psnr']:.2f}", f"{cell['psnr_corrected']:.2f}", f"{cell['ssim']:.3f}"]
        said = [f"{100 * cell[name]:.1f} %" if name in cell else "" for name in shares]
        rows.append([*names, *scores, f"{cell['cpu_seconds']:.0f}", *said])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
