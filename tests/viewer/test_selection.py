"""What is selected, by its kind or by its place in the picture."""

from __future__ import annotations

import torch
from made_up import circle_of_cameras, made_up_scene

from splat.cameras import Cameras, intrinsics
from splat.gaussians import Gaussians
from splat.viewer.selection import Limits, in_rectangle, isolation


def blobs(*places: tuple[float, float, float], scale: float = 0.1) -> Gaussians:
    count = len(places)
    return Gaussians(
        means=torch.tensor(places),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(count, 1),
        log_scales=torch.full((count, 3), scale).log(),
        opacity_logits=torch.full((count,), 5.0),
        sh=torch.zeros(count, 1, 3),
    )


CAMERA = Cameras(torch.eye(4)[None], intrinsics(100, 50, 0.8)[None], 100, 50)


def rectangle(scene: Gaussians, low, high, through: bool) -> list[bool]:
    return in_rectangle(scene, CAMERA, low, high, through=through, antialias="classic", near=0.01).tolist()


def test_a_rectangle_selects_what_shows_in_it() -> None:
    # In front; hidden behind it; at the side; behind the camera.
    scene = blobs((0.0, 0.0, 2.0), (0.0, 0.0, 4.0), (0.7, 0.0, 2.0), (0.0, 0.0, -2.0))
    assert rectangle(scene, (0.4, 0.4), (0.6, 0.6), False) == [True, False, False, False]
    assert rectangle(scene, (0.4, 0.4), (0.6, 0.6), True) == [True, True, False, False]
    assert rectangle(scene, (0.0, 0.0), (1.0, 1.0), False) == [True, False, True, False]
    assert rectangle(scene, (0.0, 0.0), (0.3, 0.3), True) == [False] * 4


def test_what_floats_before_a_surface_does_not_take_the_surface_with_it_nor_lack_it() -> None:
    wall = [(x / 10, y / 10, 3.0) for x in range(-10, 11) for y in range(-10, 11)]
    scene = blobs((0.0, 0.0, 1.0), *wall, scale=0.06)
    picked = rectangle(scene, (0.0, 0.0), (1.0, 1.0), False)
    # The wall shows but for what is right behind the blob.
    assert picked[0] and not picked[1 + 10 * 21 + 10] and sum(picked[1:]) > 100


def test_limits_select_what_meets_all_of_them() -> None:
    scene = blobs((0.0, 0.0, 2.0), (0.0, 0.0, 4.0), (0.7, 0.0, 2.0), (0.0, 0.0, 5.0))
    scene.opacity_logits[:] = torch.tensor([0.1, 0.2, 0.8, 0.9]).logit()
    scene.log_scales[:, 1] = torch.tensor([0.5, 0.1, 0.4, 0.2]).log()
    lonely = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert Limits().rows(scene, None).tolist() == [False] * 4
    assert Limits(opacity=0.5).rows(scene, None).tolist() == [True, True, False, False]
    assert Limits(largest=0.5).rows(scene, None).tolist() == [True, False, True, False]
    assert Limits(opacity=0.5, largest=0.5).rows(scene, None).tolist() == [True, False, False, False]
    assert Limits(loneliest=0.25).rows(scene, None).tolist() == [False] * 4
    assert Limits(loneliest=0.25).rows(scene, lonely).tolist() == [False, False, False, True]


def test_the_loneliest_is_the_floater_and_not_the_background() -> None:
    generator = torch.Generator().manual_seed(0)
    middle = torch.randn(400, 3, generator=generator)
    far = 30 * torch.nn.functional.normalize(torch.randn(400, 3, generator=generator), dim=1)
    floater = torch.tensor([[6.0, 0.0, 0.0]])
    assert int(isolation(torch.cat([middle, far, floater])).argmax()) == 800


def test_a_made_up_scene_is_seen_from_all_sides() -> None:
    scene, cameras = made_up_scene(), circle_of_cameras()
    options = {"through": False, "antialias": "classic", "near": 0.01}
    seen = [in_rectangle(scene, cameras[index], (0.0, 0.0), (1.0, 1.0), **options) for index in range(len(cameras))]
    assert 0 < seen[0].sum() < len(scene) and torch.stack(seen).any(0).sum() > 0.9 * len(scene)
