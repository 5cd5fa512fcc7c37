"""What a browser that draws for itself is sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from made_up import circle_of_cameras, made_up_scene

from splat.gaussians import SH_C0
from splat.quaternions import to_matrix
from splat.viewer.camera import ViewSpace
from splat.viewer.splats import splats

SPACE = replace(ViewSpace.of_cameras(circle_of_cameras().viewmats.double().numpy()), scale=1.7)


def test_splats_are_the_scene_in_view_space() -> None:
    scene = made_up_scene()
    found = splats(scene, SPACE)
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[:3, :3] = SPACE.scale * torch.from_numpy(SPACE.rotation)
    similarity[:3, 3] = -similarity[:3, :3] @ torch.from_numpy(SPACE.centre)
    moved = scene.transform(similarity.float())
    assert np.allclose(found.centers, moved.means.numpy(), atol=1e-5)
    for covariance, quat, scales in zip(found.covariances, moved.quats, moved.scales, strict=True):
        turn = to_matrix(quat.numpy())
        wanted = turn @ np.diag(scales.numpy() ** 2) @ turn.T
        assert np.allclose(covariance, wanted, atol=1e-5 * np.abs(wanted).max())
    assert np.allclose(found.rgbs, (0.5 + SH_C0 * scene.sh[:, 0]).clamp(0, 1)) and found.opacities.shape == (60, 1)


def test_of_too_many_those_that_cover_least_are_left_out() -> None:
    scene = made_up_scene()
    faint = replace(scene, opacity_logits=torch.where(torch.arange(60) % 2 == 0, 3.0, -9.0))
    found = splats(faint, SPACE, most=30)
    assert len(found.centers) == 30 and (found.opacities > 0.9).all()
