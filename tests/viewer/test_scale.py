"""Lengths and up of a scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import made_up_scene

from splat.cameras import Cameras, intrinsics, look_at
from splat.render import render
from splat.viewer.scale import Scale, similarity


def test_lengths_are_said_in_units_until_somebody_said_which() -> None:
    assert Scale().say(2.0) == "2 units"
    assert Scale(0.25, "m").say(2.0) == "0.5 m"


@pytest.mark.parametrize("up", [(0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.3, -0.2, -0.9)])
def test_up_becomes_minus_y_and_lengths_become_true(up: tuple[float, float, float]) -> None:
    matrix = similarity(Scale(2.5, "m"), np.array(up))
    turned = matrix[:3, :3] @ torch.tensor(up, dtype=torch.float64) / float(np.linalg.norm(up))
    assert turned.tolist() == pytest.approx([0.0, -2.5, 0.0], abs=1e-9)
    assert float(torch.linalg.det(matrix)) == pytest.approx(2.5**3)


def test_a_scene_that_is_upright_already_is_only_scaled() -> None:
    assert torch.allclose(similarity(Scale(3.0), np.array([0.0, -1.0, 0.0]))[:3, :3], 3 * torch.eye(3).double())


def test_scene_and_camera_moved_together_show_the_same_image() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = made_up_scene()
    scene = replace(scene, sh=torch.randn(len(scene), 16, 3, generator=generator) / 3)
    matrix = similarity(Scale(1.7, "m"), np.array([0.4, 0.5, -0.6]))
    viewmat = look_at(torch.tensor([[1.5, -1.0, -1.5]]), torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    moved = viewmat.double() @ torch.linalg.inv(matrix)
    moved[:, :3] *= 1.7  # A camera has no scale of its own.
    K = intrinsics(64, 48, 0.8)[None]
    before, after = (
        render(gaussians, Cameras(pose, K, 64, 48)).rgb
        for gaussians, pose in ((scene, viewmat), (scene.transform(matrix), moved.float()))
    )
    assert float((before - after).abs().max()) < 1e-4 and float(before.std()) > 0.05
