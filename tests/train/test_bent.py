"""Runs on photos that a lens has bent: they are matched as they are, and the run's files say how they bend."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up import circle_of_cameras, made_up_scene, write_capture
from PIL import Image

import splat
from splat.evaluate.metrics import evaluate_views
from splat.formats.cameras import read_cameras
from splat.train.config import DataConfig, InitConfig, TrainConfig
from splat.train.run import open_capture, train

LENSES = {
    "pinhole": ("OPENCV", {"k1": -0.4, "k2": 0.1, "p1": 0.004, "p2": -0.003}),
    "fisheye": ("OPENCV_FISHEYE", {"k1": 0.05, "k2": -0.02, "k3": 0.0, "k4": 0.0}),
}
CONFIG = TrainConfig(
    iterations=150, max_gaussians=400, data=DataConfig(test_every=5, lens="native"), init=InitConfig(few_points=10)
)


@pytest.fixture
def capture(model: str, tmp_path: Path) -> Path:
    """The made-up capture, photographed through a lens that bends."""
    folder = write_capture(tmp_path / "capture")
    name, coefficients = LENSES[model]
    distortion = torch.tensor([list(coefficients.values())]).expand(len(circle_of_cameras()), -1)
    cameras = replace(circle_of_cameras(), model=model, distortion=distortion)
    for number, image in enumerate(splat.render(made_up_scene(), cameras).rgb):
        pixels = (image.clamp(0, 1) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(folder / f"images/{number:02d}.png")
    content = json.loads((folder / "transforms.json").read_text())
    (folder / "transforms.json").write_text(json.dumps({**content, "camera_model": name, **coefficients}))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_a_run_on_bent_photos_matches_them(model: str, capture: Path, tmp_path: Path) -> None:
    run = train(capture, tmp_path / "run", CONFIG)
    assert run.evaluation is not None
    scene = open_capture(capture, CONFIG)
    trained = splat.load(tmp_path / "run/scene.ply")
    there = trained.transform(scene.normalization)
    truth = made_up_scene().transform(scene.normalization)

    def psnr(gaussians: splat.Gaussians) -> float:
        views = evaluate_views(gaussians, scene, scene.test, antialias="classic")
        return sum(view.psnr for view in views) / len(views)

    # The scene that the photos are of is off by their 8 bits; through straight lenses it is off by far more.
    bent = scene.views
    scene.views = [replace(v, camera=replace(v.camera, distortion=None, model="pinhole")) for v in bent]
    blind = psnr(truth)
    scene.views = bent
    assert psnr(truth) > 45 > 35 > blind
    assert run.evaluation.psnr > 22 and psnr(there) == pytest.approx(run.evaluation.psnr, abs=0.1)

    # What the run says of its cameras shows the same.
    for view, expected in zip(read_cameras(tmp_path / "run/cameras.json"), scene.views, strict=True):
        ours, theirs = splat.render(trained, view.camera).rgb, splat.render(there, expected.camera).rgb
        torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


@pytest.mark.parametrize("model", ["pinhole"])
def test_too_few_points_are_joined_by_random_ones_that_the_lens_shows(capture: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, iterations=2, init=InitConfig(few_points=1000, random_points=500))
    assert train(capture, tmp_path / "run", replace(config, max_gaussians=600)).gaussians > 500
