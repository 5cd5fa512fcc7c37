"""Bilateral grids: the look-up against torch's own, the variation, the rate, and that local changes are found."""

from __future__ import annotations

import pytest
import torch
from made_up import made_up_scene
from torch import Tensor
from torch.nn.functional import grid_sample

from splat.datasets.scene import Scene
from splat.evaluate.metrics import fit_colours, psnr
from splat.ops.photometric import photometric_loss
from splat.train.corrections.bilateral import ACROSS, DOWN, LEVELS, LUMA, BilateralGrids, sliced, variation
from splat.train.frame import Frame

CPU = torch.device("cpu")


def identity() -> Tensor:
    return torch.eye(3, 4).reshape(12, 1, 1, 1).repeat(1, LEVELS, DOWN, ACROSS)


def trilinear(rgb: Tensor, grid: Tensor) -> Tensor:
    """`sliced`, with torch's look-up in all three dimensions."""
    _, height, width, _ = rgb.shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    brightness = 2 * (rgb[0] * torch.tensor(LUMA).to(rgb)).sum(-1) - 1
    where = torch.stack([x.to(rgb), y.to(rgb), brightness], dim=-1)[None, None]
    found = grid_sample(grid[None], where, padding_mode="border", align_corners=True)[0, :, 0]
    matrices = found.permute(1, 2, 0).reshape(height, width, 3, 4)
    return (matrices[..., :3] @ rgb[0, ..., None] + matrices[..., 3:])[None, ..., 0]


def test_the_identity_changes_nothing() -> None:
    rgb = torch.rand(1, 9, 13, 3, generator=torch.Generator().manual_seed(0)) * 1.5 - 0.25
    torch.testing.assert_close(sliced(rgb, identity()), rgb)


def test_the_look_up_and_its_gradients_are_trilinear() -> None:
    generator = torch.Generator().manual_seed(1)
    # Beyond black and white, too.
    rgb = (torch.rand(1, 21, 17, 3, generator=generator) * 1.4 - 0.2).double().requires_grad_()
    grid = torch.randn(12, LEVELS, DOWN, ACROSS, generator=generator).double().requires_grad_()
    cotangent = torch.randn(1, 21, 17, 3, generator=generator).double()
    ours, expected = sliced(rgb, grid), trilinear(rgb, grid)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    for a, b in zip(*(torch.autograd.grad(x, (rgb, grid), cotangent) for x in (ours, expected)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_variation_is_none_of_one_matrix_and_the_slope_squared_else() -> None:
    assert variation(identity()) == 0
    slope = identity() + 0.1 * torch.arange(float(DOWN))[:, None]
    assert float(variation(slope)) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.slow
def test_what_changed_in_parts_of_the_photos_is_found(scene: Scene) -> None:
    """Every photo is lightened towards one of its borders and darkened towards the other, by three tenths."""
    truth, rounds = made_up_scene().transform(scene.normalization), 60
    grids = BilateralGrids(len(scene.views), len(scene.train), rounds * len(scene.train), CPU)
    # Where the scene is right already, nothing is lost by hurry.
    grids.grids.first_rate = 0.05
    frames = {view: Frame(truth, scene.views[view].camera, sh_degree=None, antialias="classic") for view in scene.train}
    renderings = {view: frame.render() for view, frame in frames.items()}
    renders = {view: rendering.rgb.detach() for view, rendering in renderings.items()}
    falling = torch.linspace(1.3, 0.7, scene.views[0].camera.width)[:, None]
    photos = {view: (renders[view] * (falling if view % 2 else falling.flip(0))).clamp(0, 1) for view in scene.train}
    for step in range(1, rounds * len(scene.train) + 1):
        view = scene.train[step % len(scene.train)]
        loss = photometric_loss(grids.image(view, renders[view]), photos[view])
        (loss + grids.loss(view, step, renderings[view], None)).backward()
        grids.update(view, step, frames[view])
    for view in scene.train:
        photo = photos[view][0]
        by_one_matrix = psnr(fit_colours(renders[view][0], photo), photo)
        assert psnr(grids.image(view, renders[view])[0].detach(), photo) > by_one_matrix + 5
