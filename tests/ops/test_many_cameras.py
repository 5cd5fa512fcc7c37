"""More cameras at once than a CUDA grid has rows: an error that says so, or no difference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scenes import random_flat
from worlds import random_world

from splat.ops.blend import blend
from splat.ops.project import project

MANY = 65_536


@pytest.mark.backends("cuda-on-host", "cuda")
def test_too_many_to_project_is_an_error_that_names_the_limit():
    world = random_world(1, views=1)
    world = replace(world, viewmats=world.viewmats.expand(MANY, 4, 4), Ks=world.Ks.expand(MANY, 3, 3))
    with pytest.raises(RuntimeError, match="a GPU projects for 65535 cameras at once, got 65536; render fewer at once"):
        project(*world.arguments(world.leaves()), **world.settings())


@pytest.mark.backends("cpu", "cuda")  # by fibres it takes an hour
def test_blending_takes_any_number():
    scene = random_flat(0, cameras=MANY, width=1, height=1)
    leaves = scene.leaves()
    means2d, conics, opacities, colours, background = leaves
    image = blend(means2d, conics, opacities, colours, background, scene.lists(bound=10), 1, 1).image
    assert torch.equal(image[:, 0, 0], scene.background)
    (v_background,) = torch.autograd.grad(image, leaves[4:], 3 * torch.ones_like(image))
    assert (v_background == 3).all()
