"""Cameras and the circle they fly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from splat.cameras import Cameras, focus_point, intrinsics, look_at, orbit


def ring(count: int = 8, height: float = 1.0, target: tuple[float, float, float] = (2.0, -1.0, 0.5)) -> Cameras:
    """Cameras on a circle of radius 3 around a target, z up."""
    angles = torch.arange(count) * (2 * torch.pi / count)
    centre = torch.tensor(target)
    positions = centre + torch.stack([3 * angles.cos(), 3 * angles.sin(), torch.full((count,), height)], -1)
    viewmats = look_at(positions, centre, torch.tensor([0.0, 0.0, 1.0]))
    return Cameras(viewmats, intrinsics(64, 48, 0.9).repeat(count, 1, 1), 64, 48)


def test_look_at_puts_the_target_on_the_axis_and_up_at_the_top():
    views = ring()
    target = torch.tensor([2.0, -1.0, 0.5])
    seen = (views.viewmats[:, :3, :3] @ target[:, None])[..., 0] + views.viewmats[:, :3, 3]
    torch.testing.assert_close(seen[:, :2], torch.zeros(8, 2), atol=1e-5, rtol=0)
    assert (seen[:, 2] > 0).all()
    assert (views.viewmats[:, 1, 2] < 0).all(), "the image's y axis points away from up"


def test_positions_undo_the_view_matrix():
    views = ring()
    centres = torch.cat([views.positions, torch.ones(8, 1)], -1)
    torch.testing.assert_close((views.viewmats @ centres[..., None])[:, :3, 0], torch.zeros(8, 3), atol=1e-5, rtol=0)


def test_focus_point_is_where_the_axes_meet():
    torch.testing.assert_close(focus_point(ring()), torch.tensor([2.0, -1.0, 0.5]), atol=1e-3, rtol=0)


def test_focus_point_of_parallel_axes_is_finite():
    views = ring()
    views.viewmats[:, :3, :3] = torch.eye(3)
    assert focus_point(views).isfinite().all()


def test_orbit_keeps_distance_height_and_target():
    views = ring(height=1.0)
    path = orbit(views, 24)
    offsets = path.positions - torch.tensor([2.0, -1.0, 0.5])
    torch.testing.assert_close(offsets[:, 2], torch.ones(24), atol=1e-2, rtol=0)
    torch.testing.assert_close(offsets[:, :2].norm(dim=-1), torch.full((24,), 3.0), atol=1e-2, rtol=0)
    torch.testing.assert_close(path.positions[0], views.positions[0], atol=1e-2, rtol=0)


def test_orbit_of_a_single_camera_is_finite():
    assert orbit(ring(1), 12).viewmats.isfinite().all()


def test_resized_scales_each_axis_by_its_own_ratio():
    resized = ring().resized(32, 12)
    assert resized.Ks[0, 0, 0] == pytest.approx(ring().Ks[0, 0, 0] / 2)
    assert resized.Ks[0, 1, 2] == pytest.approx(6.0)
    assert (resized.width, resized.height) == (32, 12)


def test_a_moved_camera_sees_the_moved_points_where_they_were():
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[:3, :3] = 2.5 * turn * torch.linalg.det(turn)
    similarity[:3, 3] = torch.tensor([1.0, -2.0, 3.0])
    cameras = ring().to(dtype=torch.float64)
    moved = cameras.transform(similarity)
    before = points @ cameras.viewmats[:, :3, :3].mT + cameras.viewmats[:, None, :3, 3]
    there = points @ similarity[:3, :3].T + similarity[:3, 3]
    after = there @ moved.viewmats[:, :3, :3].mT + moved.viewmats[:, None, :3, 3]
    torch.testing.assert_close(after, 2.5 * before)
    torch.testing.assert_close(
        moved.viewmats[:, :3, :3] @ moved.viewmats[:, :3, :3].mT, torch.eye(3).double().expand(8, 3, 3)
    )


def test_concat_refuses_other_sizes():
    with pytest.raises(ValueError, match="width, height and model"):
        Cameras.concat([ring(), ring().resized(32, 24)])


def test_wrong_shapes_and_models_are_named():
    views = ring()
    with pytest.raises(ValueError, match=r"Ks must be \[C, 3, 3\] with C = 8"):
        Cameras(views.viewmats, views.Ks[:3], 64, 48)
    with pytest.raises(ValueError, match="model must be one of pinhole, ortho, fisheye, got 'spherical'"):
        Cameras(views.viewmats, views.Ks, 64, 48, "spherical")  # pyright: ignore[reportArgumentType]
    assert len(views[-1]) == 1 and len(views[2:5]) == 3


def test_distortion_goes_where_its_camera_goes():
    views, distortion = ring(), torch.arange(32.0).view(8, 4) / 1000
    bent = replace(views, distortion=distortion)

    def kept(cameras: Cameras) -> Tensor:
        assert cameras.distortion is not None
        return cameras.distortion

    assert torch.equal(kept(bent[3]), distortion[3:4])
    assert kept(bent.to(dtype=torch.float64)).dtype == torch.float64
    assert torch.equal(kept(bent.resized(32, 24)), distortion)
    assert torch.equal(kept(Cameras.concat([bent[:3], bent[3:]])), distortion)
    with pytest.raises(ValueError, match="the kind of distortion"):
        Cameras.concat([bent, views])
    assert orbit(bent, 5).distortion is None
