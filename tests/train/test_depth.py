"""Depth that the capture knows: what photos show of the points, maps fitted to them, and what the loss pulls at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from captures import Model, Shot, write_binary, write_text
from made_up import made_up_scene
from PIL import Image

from splat.cameras import Cameras
from splat.datasets.scene import Scene, open_scene
from splat.errors import SplatError
from splat.gaussians import Gaussians
from splat.render import render
from splat.train.config import CorrectionsConfig, InitConfig, TrainConfig
from splat.train.corrections.depth import Depth
from splat.train.corrections.sightings import sightings
from splat.train.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def solid(scene: Scene) -> Scene:
    """The made-up capture, its points on the surfaces that the photos show, each shown by one of them."""
    points, tracks, count = [], {}, 0
    for view in scene.train:
        camera = scene.views[view].camera
        known = disparity(truth(scene), camera)
        rows, columns = (known > 0).nonzero()[::5].unbind(1)
        pixels = torch.stack([columns + 0.5, rows + 0.5, torch.ones(len(rows))], dim=1)
        local = pixels @ torch.linalg.inv(camera.Ks[0]).T / known[rows, columns, None]
        points.append((local - camera.viewmats[0, :3, 3]) @ camera.viewmats[0, :3, :3])
        tracks[view] = torch.arange(count, count + len(rows))
        count += len(rows)
    grey = torch.full((count, 3), 128, dtype=torch.uint8)
    return dataclasses.replace(scene, points=torch.cat(points), point_colors=grey, tracks=tracks)


@pytest.fixture
def maps(solid: Scene, tmp_path: Path) -> Path:
    """Disparities of the true scene as a network would give them: scaled, shifted, rounded to 16 bits, with a gap."""
    folder = tmp_path / "depths"
    folder.mkdir()
    for view in solid.train:
        values = disparity(truth(solid), solid.views[view].camera).numpy()
        pixels = np.where(values > 0, 1000 + 20_000 * values, 0)
        pixels[:5] = 0
        Image.fromarray(pixels.astype(np.uint16)).save(folder / f"{Path(solid.views[view].name).stem}.png")
    return folder


def truth(scene: Scene) -> Gaussians:
    """What the made-up photos show, in the normalised world."""
    return made_up_scene().transform(scene.normalization)


def disparity(gaussians: Gaussians, camera: Cameras) -> torch.Tensor:
    """[H, W], 0 where there is nothing."""
    with torch.no_grad():
        found = render(gaussians, camera, depth=True)
    assert found.expected_depth is not None
    return torch.where(found.alpha[0] > 0.5, 1 / found.expected_depth[0].clamp(min=1e-3), 0)


@pytest.mark.parametrize("write", [write_binary, write_text])
def test_tracks_say_which_points_a_photo_shows(tmp_path: Path, write) -> None:
    """The tracks of `captures` name photo 1, twice or once, of every point but each third."""
    points = np.random.default_rng(0).normal(size=(30, 3))
    shots = [Shot(f"{i}.png", translation=(0.1 * i, 0.0, 4.0)) for i in range(3)]
    model = Model({1: ("PINHOLE", 64, 48, (50, 50, 32, 24))}, shots, points, np.zeros((30, 3), np.uint8))
    write(tmp_path / "sparse" / "0", model)
    (tmp_path / "images").mkdir()
    for shot in shots:
        Image.new("RGB", (64, 48)).save(tmp_path / "images" / shot.name)
    scene = open_scene(tmp_path, test_every=0)
    assert scene.tracks[0].tolist() == [row for row in range(30) if row % 3]
    assert scene.tracks[1].tolist() == []


def test_a_point_behind_another_is_not_shown(scene: Scene) -> None:
    camera = scene.views[scene.train[0]].camera
    ray = camera.forwards[0] + 0.01 * camera.viewmats[0, 0, :3] + 0.01 * camera.viewmats[0, 1, :3]
    points = camera.positions + torch.tensor([[1.0], [2.0]]) * ray
    seen = sightings(dataclasses.replace(scene, points=points))[scene.train[0]]
    torch.testing.assert_close(seen.disparities, torch.tensor([1.0]))
    assert seen.places.shape == (1, 2) and (seen.places > 0.5).all() and (seen.places < 0.52).all()


def test_maps_get_the_worlds_scale(solid: Scene, maps: Path) -> None:
    depth = Depth(solid, maps, 100, CPU)
    assert list(depth.maps) == solid.train
    for view, found in depth.maps.items():
        known = disparity(truth(solid), solid.views[view].camera)
        assert not found[:5].any()
        both = (found > 0) & (known > 0)
        assert both.sum() > 100
        assert ((found - known)[both].abs() < 0.03 * known[both]).float().mean() > 0.95


def test_maps_of_depths_are_told_from_maps_of_disparities(solid: Scene, tmp_path: Path) -> None:
    for view in solid.train:
        known = disparity(truth(solid), solid.views[view].camera).numpy()
        depths = np.where(known > 0, 250 / np.maximum(known, 1e-3), np.nan)
        np.save(tmp_path / f"{Path(solid.views[view].name).name}.npy", depths)
    depth = Depth(solid, tmp_path, 100, CPU)
    view = solid.train[0]
    known = disparity(truth(solid), solid.views[view].camera)
    both = (depth.maps[view] > 0) & (known > 0)
    torch.testing.assert_close(depth.maps[view][both], known[both], rtol=0.05, atol=0)


def test_missing_maps_and_maps_of_something_else_are_named(solid: Scene, maps: Path) -> None:
    names = [Path(solid.views[view].name).stem for view in solid.train]
    (maps / f"{names[0]}.png").unlink()
    noise = np.random.default_rng(0).integers(1, 60_000, (48, 64)).astype(np.uint16)
    Image.fromarray(noise).save(maps / f"{names[1]}.png")
    with pytest.warns(UserWarning) as caught:
        depth = Depth(solid, maps, 100, CPU)
    assert list(depth.maps) == solid.train[2:]
    told = [str(warning.message) for warning in caught]
    assert f"1 photo without a depth map in {maps}: images/{names[0]}.png" in told[0]
    assert f"1 photo with one that does not fit the points in {maps}: images/{names[1]}.png" in told[1]


def test_unusable_folders_and_files_are_errors(solid: Scene, maps: Path, tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="is no folder"):
        Depth(solid, tmp_path / "nowhere", 100, CPU)
    first = maps / f"{Path(solid.views[solid.train[0]].name).stem}.png"
    Image.new("RGB", (64, 48)).save(first)
    with pytest.raises(SplatError, match="not one number a pixel"):
        Depth(solid, maps, 100, CPU)
    first.write_bytes(b"not a picture")
    with pytest.raises(SplatError, match="cannot be read as a depth map"):
        Depth(solid, maps, 100, CPU)


@pytest.mark.parametrize("source", ["points", "maps"])
def test_the_loss_pulls_surfaces_to_their_depth(solid: Scene, maps: Path, source: str) -> None:
    """The truth itself has nearly no loss; moved towards the camera it has, and the gradient leads back."""
    depth = Depth(solid, maps if source == "maps" else None, 100, CPU)
    if source == "maps":
        depth.points = {}
    view = solid.train[0]
    camera = solid.views[view].camera
    losses = []
    for nearer in (0.0, 0.2):
        shift = torch.full((), nearer, requires_grad=True)
        gaussians = truth(solid)
        gaussians.means = gaussians.means - shift * camera.forwards[0]
        loss = depth.loss(view, 1, render(gaussians, camera, depth=True), None)
        assert loss is not None
        losses.append(float(loss.detach()))
    (gradient,) = torch.autograd.grad(loss, shift)
    assert losses[0] < 0.1 * losses[1]
    assert gradient > 0
    late = depth.loss(view, 100, render(gaussians, camera, depth=True), None)
    assert late is not None and float(late.detach()) == pytest.approx(0.01 * losses[1], rel=0.1)


def test_masked_pixels_have_no_say(solid: Scene) -> None:
    depth = Depth(solid, None, 100, CPU)
    view = solid.train[0]
    camera = solid.views[view].camera
    rendering = render(truth(solid), camera, depth=True)
    nothing = torch.zeros(1, camera.height, camera.width, dtype=torch.uint8)
    assert depth.loss(view, 1, rendering, nothing) == 0


@pytest.mark.slow
def test_a_run_with_depth_comes_closer_to_it(solid: Scene) -> None:
    config = TrainConfig(iterations=150, max_gaussians=400, init=InitConfig(few_points=10))
    known = Depth(solid, None, 1, CPU)
    losses = []
    for depth in (False, True):
        trainer = Trainer(solid, dataclasses.replace(config, corrections=CorrectionsConfig(depth=depth)))
        trainer.run()
        gaussians = trainer.gaussians()
        views = [render(gaussians, solid.views[view].camera, depth=True) for view in solid.train]
        found = [known.loss(view, 0, seen, None) for view, seen in zip(solid.train, views, strict=True)]
        losses.append(sum(float(loss) for loss in found if loss is not None))
    assert losses[1] < 0.95 * losses[0]
