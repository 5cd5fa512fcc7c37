"""What is shown otherwise than it is: cropped to a region, selected."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up import circle_of_cameras, made_up_scene
from scipy.spatial.transform import Rotation

from splat.gaussians import SH_C0
from splat.render import render
from splat.viewer.marks import Marks
from splat.viewer.region import Region

TURNED = Rotation.from_rotvec([0.3, -0.5, 0.8]).as_matrix()


def region(shape) -> Region:
    return Region(shape, np.array([0.1, 0.0, -0.1]), TURNED, np.array([0.2, 0.3, 0.4]))


@pytest.mark.parametrize("shape", ["box", "sphere"])
def test_a_region_holds_what_was_put_into_it(shape) -> None:
    own = torch.rand(500, 3, dtype=torch.float64) * 3 - 1.5  # In the region's axes, as shares of its half extents.
    inside = own.abs().amax(1) <= 1 if shape == "box" else own.norm(dim=1) <= 1
    points = (own.numpy() * region(shape).half) @ TURNED + region(shape).centre
    assert torch.equal(region(shape).contains(torch.from_numpy(points)), inside) and 20 < inside.sum() < 480


def test_what_is_hidden_is_not_drawn_and_what_is_dimmed_a_little() -> None:
    scene, camera = made_up_scene(), circle_of_cameras()[0]
    inside = region("box").contains(scene.means)
    assert 0 < inside.sum() < len(scene)
    drawn = {
        outside: render(Marks(region("box"), outside).apply(scene, 0), camera)
        for outside in ("shown", "dimmed", "hidden")
    }
    wanted = render(scene.select(inside), camera)
    assert torch.allclose(drawn["hidden"].rgb, wanted.rgb, atol=1e-6)
    assert torch.equal(drawn["shown"].rgb, render(scene, camera).rgb)
    alphas = [float(drawn[outside].alpha.mean()) for outside in ("hidden", "dimmed", "shown")]
    assert alphas[0] < alphas[1] < alphas[2]


def test_the_selected_is_magenta_in_the_generation_that_it_was_selected_in() -> None:
    scene = made_up_scene()
    before = scene.sh.clone()
    selected = torch.arange(len(scene)) % 3 == 0
    shown = Marks(selected=selected, generation=4).apply(scene, 4)
    colours = 0.5 + SH_C0 * shown.sh[:, 0]
    assert torch.allclose(colours[selected], torch.tensor([1.0, 0.0, 1.0]), atol=1e-6)
    assert torch.equal(shown.sh[~selected], before[~selected]) and torch.equal(scene.sh, before)
    assert torch.equal(Marks(selected=selected[:-1], generation=4).apply(scene, 5).sh, before)
