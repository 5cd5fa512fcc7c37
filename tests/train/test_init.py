"""The Gaussians that training starts from."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.gaussians import SH_C0
from splat.train.config import InitConfig, TrainConfig
from splat.train.init import initial_gaussians

CONFIG = TrainConfig(init=InitConfig(few_points=2, random_points=500))


def start(scene: Scene, config: TrainConfig = CONFIG, seed: int = 0):
    return initial_gaussians(scene, config, torch.Generator().manual_seed(seed))


def with_points(scene: Scene, points: list[list[float]]) -> Scene:
    colors = torch.full((len(points), 3), 200, dtype=torch.uint8)
    return dataclasses.replace(scene, points=torch.tensor(points).reshape(-1, 3), point_colors=colors)


def test_one_gaussian_per_point_as_large_as_the_gaps_and_of_its_colour(scene: Scene) -> None:
    square = [[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0.1, 0.1, 0]]
    made = start(with_points(scene, square))
    torch.testing.assert_close(made.means, torch.tensor(square))
    torch.testing.assert_close(made.scales, torch.full((4, 3), 0.1 * (4 / 3) ** 0.5))
    torch.testing.assert_close(made.opacities, torch.full((4,), 0.1))
    torch.testing.assert_close(0.5 + SH_C0 * made.sh[:, 0], torch.full((4, 3), 200 / 255))
    assert made.sh.shape == (4, 16, 3) and made.sh[:, 1:].eq(0).all()


def test_duplicates_and_points_at_cameras_are_left_out(scene: Scene) -> None:
    camera = scene.views[3].camera.positions[0].tolist()
    points = [[0.0, 0, 0], [0.1, 0, 0], [0.0, 0, 0], camera, [0.2, 0, 0], [float("nan"), 0, 0]]
    made = start(with_points(scene, points))
    assert made.means[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert all(tensor.isfinite().all() for tensor in made.parameters().values())


@pytest.mark.parametrize("points", [[], [[0.0, 0.0, 0.0]]])
def test_too_few_points_are_filled_up_where_the_views_overlap(scene: Scene, points: list[list[float]]) -> None:
    made = start(with_points(scene, points))
    assert len(made) == 500 + len(points)
    drawn = made.means[len(points) :]
    seen = torch.zeros(500)
    for view in scene.views:
        local = drawn @ view.camera.viewmats[0, :3, :3].T + view.camera.viewmats[0, :3, 3]
        pixel = local @ view.camera.Ks[0].T
        pixel = pixel[:, :2] / pixel[:, 2:]
        inside = (pixel >= 0) & (pixel < torch.tensor([view.camera.width, view.camera.height]))
        seen += (local[:, 2] > 0) & inside.all(dim=1)
    assert seen.min() >= 1
    assert seen.mean() > 0.5 * len(scene.views)
    assert made.sh[len(points) :, 0].std() > 0


def test_the_cap_holds_from_the_start(scene: Scene) -> None:
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)).tolist()
    config = dataclasses.replace(CONFIG, max_gaussians=20)
    made = start(with_points(scene, points), config)
    assert len(made) == 20
    assert len(start(with_points(scene, []), config)) == 20


def test_the_same_seed_draws_the_same_points(scene: Scene) -> None:
    empty = with_points(scene, [])
    assert torch.equal(start(empty).means, start(empty).means)
    assert not torch.equal(start(empty).means, start(empty, seed=1).means)


def test_no_training_photo_is_an_error(scene: Scene) -> None:
    with pytest.raises(SplatError, match="no photo left to train on"):
        start(dataclasses.replace(scene, train=[]))
