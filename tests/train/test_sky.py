"""Gaussians on a far sphere: where they are put, with what colours, how many, and what they are good for."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from made_up import HEIGHT, WIDTH, WORLD_FROM_OPENGL, circle_of_cameras, made_up_scene
from PIL import Image
from torch import Tensor

from splat.datasets.scene import Scene, open_scene
from splat.render import render
from splat.train.config import InitConfig, TrainConfig
from splat.train.init import initial_gaussians
from splat.train.sky import RADIUS, even_directions, sky_points
from splat.train.trainer import Trainer

START = InitConfig(few_points=100_000, random_points=200, sky=400)


def sky(directions: Tensor) -> Tensor:
    """[..., 3] in [0, 1]: a smooth sky, in the capture's world."""
    return 0.5 + 0.4 * directions * torch.tensor([1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def outdoors(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The made-up blobs under that sky, from outside; no points."""
    folder = tmp_path_factory.mktemp("outdoors")
    (folder / "images").mkdir()
    cameras, frames = circle_of_cameras(), []
    seen = render(made_up_scene(), cameras)
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1)
    for number, camera in enumerate(cameras[i] for i in range(len(cameras))):
        rays = pixels @ torch.linalg.inv(camera.Ks[0]).T @ camera.viewmats[0, :3, :3]
        behind = sky(torch.nn.functional.normalize(rays, dim=-1))
        image = seen.rgb[number] + (1 - seen.alpha[number, ..., None]) * behind
        name = f"images/{number:02d}.png"
        Image.fromarray((image.clamp(0, 1) * 255).round().byte().numpy()).save(folder / name)
        pose = torch.linalg.inv(camera.viewmats[0]) @ WORLD_FROM_OPENGL
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    K = cameras.Ks[0]
    lens = {"fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]), "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
    (folder / "transforms.json").write_text(json.dumps({**lens, "camera_model": "PINHOLE", "frames": frames}))
    return open_scene(folder, test_every=5)


def test_directions_are_even() -> None:
    directions = even_directions(500)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(500))
    distances = torch.cdist(directions, directions) + 10 * torch.eye(500)
    nearest = distances.amin(dim=1)
    assert nearest.max() < 1.6 * nearest.min()
    assert directions.mean(dim=0).norm() < 0.01


def test_they_have_the_colours_that_photos_agree_on(outdoors: Scene) -> None:
    points, colours, spacing = sky_points(outdoors, 400)
    assert 100 < len(points) <= 400
    centre = torch.cat([outdoors.views[view].camera.positions for view in outdoors.train]).mean(dim=0)
    offsets = points - centre
    torch.testing.assert_close(offsets.norm(dim=1), torch.full((len(points),), RADIUS * outdoors.extent))
    directions = torch.nn.functional.normalize(offsets, dim=1) @ outdoors.normalization[:3, :3].float()
    # Blobs have but one colour each, so that photos may agree on one by chance.
    expected = sky(torch.nn.functional.normalize(directions, dim=1))
    assert ((colours / 255 - expected).abs().amax(dim=1) < 0.05).float().mean() > 0.7
    distances = torch.cdist(points, points) + 1e6 * torch.eye(len(points))
    assert 0.7 * spacing < float(distances.amin(dim=1).median()) < 1.3 * spacing


def test_the_cap_holds_for_both(outdoors: Scene) -> None:
    for cap in (300, 1000):
        config = TrainConfig(max_gaussians=cap, init=START)
        gaussians = initial_gaussians(outdoors, config, torch.Generator().manual_seed(0))
        assert len(gaussians) <= cap
        far = (gaussians.means.norm(dim=1) > 5 * outdoors.extent).sum()
        assert 0.25 * cap < far <= 400


@pytest.mark.slow
def test_a_scene_under_a_sky_is_learned_better_with_one(outdoors: Scene) -> None:
    scores = []
    for count in (0, 400):
        start = dataclasses.replace(START, sky=count)
        config = TrainConfig(iterations=150, max_gaussians=800, strategy="adc", init=start)
        trainer = Trainer(outdoors, config)
        trainer.run()
        scores.append(trainer.evaluate().psnr)
    assert scores[1] > scores[0] + 0.5
