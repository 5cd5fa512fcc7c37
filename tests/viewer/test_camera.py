"""Browser cameras and scene cameras see the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from splat.cameras import Cameras, intrinsics, look_at
from splat.viewer.camera import DEFAULT_FOV, RADIUS, Pose, Stand, ViewSpace, covering_fov, overview


def ring(up: tuple[float, float, float], outwards: bool = False, count: int = 12) -> np.ndarray:
    """[V, 4, 4] cameras around (5, 6, 7), three units away, upright with respect to `up`."""
    axis = torch.nn.functional.normalize(torch.tensor(up, dtype=torch.float64), dim=0)
    side = torch.linalg.cross(axis, torch.tensor([0.3, 0.9, -0.2], dtype=torch.float64))
    side = side / side.norm()
    other = torch.linalg.cross(axis, side)
    angles = torch.arange(count, dtype=torch.float64)[:, None] * (2 * math.pi / count)
    directions = angles.cos() * side + angles.sin() * other
    centre = torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)
    if outwards:
        return look_at(centre + 0.5 * directions, centre + directions, axis).numpy()
    return look_at(centre + 3 * directions, centre, axis).numpy()


def pose_at(stand: Stand, fov: float = DEFAULT_FOV) -> Pose:
    """What the browser reports when it stands there, worked out independently of the code under test."""
    viewmat = look_at(*(torch.from_numpy(np.array(a)) for a in (stand.position, stand.look_at, stand.up))).numpy()
    return Pose(quaternion(viewmat[:3, :3].T), tuple(stand.position), fov)


def quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """wxyz, as the eigenvector of the largest eigenvalue of Bar-Itzhack's matrix."""
    r = rotation
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [0, r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [0, 0, r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [0, 0, 0, r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    w, x, y, z = np.linalg.eigh(k, UPLO="U")[1][:, -1]
    return float(w), float(x), float(y), float(z)


@pytest.mark.parametrize("up", [(0, -1, 0), (0, 0, 1), (0, 0, -1), (0.3, -0.7, 0.5)])
def test_the_scene_is_upright_centred_and_of_comfortable_size(up: tuple[float, float, float]) -> None:
    space = ViewSpace.of_cameras(ring(up))
    direction = space.rotation @ (np.array(up) / np.linalg.norm(up))
    assert np.allclose(direction, [0, 0, 1], atol=1e-6)
    assert np.allclose(space.centre, [5, 6, 7], atol=1e-4)
    assert math.isclose(3 * space.scale, RADIUS, rel_tol=1e-4)
    assert np.allclose(space.rotation @ space.rotation.T, np.eye(3)) and np.linalg.det(space.rotation) > 0


def test_cameras_that_look_outwards_are_in_the_middle() -> None:
    space = ViewSpace.of_cameras(ring((0, -1, 0), outwards=True))
    assert np.allclose(space.centre, [5, 6, 7], atol=1e-4) and math.isclose(0.5 * space.scale, RADIUS, rel_tol=1e-4)


@pytest.mark.parametrize("roll", [0.0, 0.4, -1.2])
@pytest.mark.parametrize("pitch", [0.0, 0.7, -1.5, math.pi / 2])
def test_standing_at_a_photo_is_the_photos_camera(roll: float, pitch: float) -> None:
    viewmats = ring((0.1, -1, 0.2))
    space = ViewSpace.of_cameras(viewmats)
    c, s = math.cos(roll), math.sin(roll)
    rolled = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    c, s = math.cos(pitch), math.sin(pitch)
    viewmat = rolled @ np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]) @ viewmats[4]
    pose = pose_at(space.stand(viewmat))
    assert space.is_at(pose, viewmat) and not space.is_at(pose, viewmats[5])
    assert np.allclose(space.camera(pose, 640, 480).viewmats[0].numpy(), viewmat, atol=1e-4)


def test_a_small_turn_or_step_leaves_the_photo() -> None:
    viewmats = ring((0, -1, 0))
    space = ViewSpace.of_cameras(viewmats)
    stand = space.stand(viewmats[0])
    beside = Stand(stand.position + [0.02, 0, 0], stand.look_at, stand.up)
    turned = Stand(stand.position, stand.look_at + [0, 0, 0.05], stand.up)
    assert not space.is_at(pose_at(beside), viewmats[0]) and not space.is_at(pose_at(turned), viewmats[0])


def test_a_scene_without_cameras_is_seen_whole() -> None:
    points = np.random.default_rng(0).normal(size=(2000, 3)) * 40 + [100, 0, 0]
    space = ViewSpace.of_points(points, (0, -1, 0))
    camera = space.camera(pose_at(overview()), 800, 600)
    inside = points @ camera.viewmats[0, :3, :3].double().numpy().T + camera.viewmats[0, :3, 3].double().numpy()
    pixels = inside @ camera.Ks[0].double().numpy().T
    pixels = pixels[:, :2] / pixels[:, 2:]
    seen = (inside[:, 2] > 0) & (pixels > 0).all(1) & (pixels < [800, 600]).all(1)
    assert seen.mean() > 0.8
    spread = pixels[seen].std(0)
    assert spread.min() > 60


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_a_window_of_any_shape_shows_all_of_the_photo(aspect: float) -> None:
    photo = Cameras(torch.eye(4)[None], intrinsics(400, 300, 0.9)[None], 400, 300)
    window = intrinsics(round(600 * aspect), 600, covering_fov(photo, aspect))
    # Pixels per unit of tan: the photo scaled into the window touches it on one side and is within it on the other.
    scale = float(window[1, 1] / photo.Ks[0, 1, 1])
    width, height = 400 * scale, 300 * scale
    assert width <= 600 * aspect * 1.001 and height <= 600 * 1.001
    assert math.isclose(width, 600 * aspect, rel_tol=1e-3) or math.isclose(height, 600, rel_tol=1e-3)


def test_points_go_to_view_space_and_back_and_the_chosen_up_is_up() -> None:
    up = np.array([0.3, 0.8, -0.4])
    space = ViewSpace(np.eye(3), np.array([1.0, 2.0, 3.0]), 0.5).with_up(up)
    points = np.random.default_rng(0).normal(size=(10, 3))
    assert np.allclose(space.to_scene(space.to_view(points)), points)
    assert np.allclose(space.to_view(space.centre + up), [0, 0, 0.5 * np.linalg.norm(up)])
    assert np.allclose(space.up, up / np.linalg.norm(up))
