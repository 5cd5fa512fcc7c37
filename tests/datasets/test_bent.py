"""Photos left as their lens bent them: their cameras bend likewise, through resizing and turning, to a run's files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captures import Model, cloud, gradient, ring, write_binary, write_photos
from PIL import Image

from splat.cameras import pixels
from splat.datasets import open_scene
from splat.datasets.images import Header
from splat.datasets.lens import BY_NAME, Lens
from splat.datasets.photo import camera, fit, load
from splat.formats.cameras import read_cameras
from splat.train.config import DataConfig, TrainConfig
from splat.train.run import describe_cameras, open_capture

WIDTH, HEIGHT = 64, 48
PARAMETERS = {
    "SIMPLE_RADIAL": (50.0, 31.0, 25.0, -0.1),
    "OPENCV": (50.0, 52.0, 31.0, 25.0, -0.1, 0.02, 2e-3, -3e-3),
    "FULL_OPENCV": (50.0, 52.0, 31.0, 25.0, -0.1, 0.02, 2e-3, -3e-3, 0.01, 0.02, 0.0, 0.0),
    "OPENCV_FISHEYE": (50.0, 52.0, 31.0, 25.0, 0.03, -0.01, 0.002, 0.0),
    "SIMPLE_RADIAL_FISHEYE": (50.0, 31.0, 25.0, 0.03),
}


def lens(name: str) -> Lens:
    return Lens.from_colmap(BY_NAME[name], WIDTH, HEIGHT, PARAMETERS[name])


def seen(of: Lens, points: np.ndarray) -> np.ndarray:
    return np.stack(of.project(points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]), -1)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_bent_camera_sees_points_where_its_photo_does(name: str, orientation: int, tmp_path: Path) -> None:
    """Also where the photo is turned upright and made smaller; its pixels are only resized."""
    pixels_of_photo = gradient(WIDTH, HEIGHT)
    path = tmp_path / "a.png"
    Image.fromarray(pixels_of_photo).save(path)
    photo = fit(path, lens(name), Header(WIDTH, HEIGHT, orientation), 2, None, straighten=False)
    assert photo is not None and photo.is_bent
    view = camera(photo, np.eye(4)).to(dtype=torch.float64)
    assert view.distortion is not None and view.model == ("fisheye" if "FISHEYE" in name else "pinhole")
    points = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 3], (50, 3))
    local = torch.from_numpy(points) @ view.viewmats[0, :3, :3].T
    found = pixels(view, local).numpy()
    x, y = (seen(lens(name), points) / 2).T
    width, height = WIDTH / 2, HEIGHT / 2
    turned = {1: (x, y), 3: (width - x, height - y), 6: (height - y, x), 8: (y, width - x)}[orientation]
    np.testing.assert_allclose(found, np.stack(turned, -1), atol=1e-4)

    image, mask = load(photo, None)
    means = pixels_of_photo.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).astype(float).mean((1, 3))
    assert mask is None and image.shape[:2] == (view.height, view.width)
    np.testing.assert_allclose(image, np.rot90(means, -{1: 0, 3: 2, 6: 1, 8: 3}[orientation]), atol=1)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    cameras = {1: ("OPENCV", WIDTH, HEIGHT, PARAMETERS["OPENCV"]), 2: ("PINHOLE", WIDTH, HEIGHT, (50.0, 50, 32, 24))}
    cameras[3] = ("FOV", WIDTH, HEIGHT, (50.0, 50.0, 32.0, 24.0, 0.3))
    shots = [replace(shot, camera=1 + number % 3) for number, shot in enumerate(ring(9))]
    write_binary(tmp_path / "sparse" / "0", Model(cameras, shots, *cloud(50)))
    write_photos(tmp_path / "images", [shot.name for shot in shots], WIDTH, HEIGHT)
    return tmp_path


def test_only_lenses_that_cameras_have_a_model_for_stay_bent(capture: Path) -> None:
    straight = open_scene(capture)
    assert all(view.camera.distortion is None for view in straight.views)
    scene = open_scene(capture, straighten=False)
    assert [view.camera.distortion is not None for view in scene.views] == [True, False, False] * 3
    assert scene.warnings == ["Photos through FOV lenses are straightened all the same."]
    assert torch.equal(scene.image(0), torch.from_numpy(gradient(WIDTH, HEIGHT)))
    assert not torch.equal(scene.image(2), torch.from_numpy(gradient(WIDTH, HEIGHT, seed=2)))
    assert torch.equal(scene.views[1].camera.Ks, straight.views[1].camera.Ks)


def test_a_runs_cameras_say_how_they_bend(capture: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(lens="native"))
    scene = open_capture(capture, config)
    written = describe_cameras(scene)
    assert ["distortion" in view for view in written["views"]] == [True, False, False] * 3
    (tmp_path / "cameras.json").write_text(json.dumps(written))
    for view, there in zip(read_cameras(tmp_path / "cameras.json"), scene.views, strict=True):
        ours, expected = view.camera.distortion, there.camera.distortion
        assert (ours is None) == (expected is None)
        assert ours is None or expected is None or torch.equal(ours, expected)
