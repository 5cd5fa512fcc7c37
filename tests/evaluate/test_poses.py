"""Fitting a photo's pose to a scene that stays: true poses are found again, and nothing is ever made worse."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from made_up import made_up_scene

from splat.cameras import Cameras, moved
from splat.datasets.scene import Scene, View
from splat.evaluate.metrics import evaluate_views, psnr, render_view
from splat.evaluate.poses import fit_pose
from splat.gaussians import Gaussians


def off(camera: Cameras, degrees: float, shift: float, seed: int = 0) -> Cameras:
    """The camera turned and displaced by so much, in directions drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    turn, way = torch.nn.functional.normalize(torch.randn(2, 3, generator=generator), dim=1).double()
    viewmat = moved(camera.viewmats[0].double(), torch.cat([math.radians(degrees) * turn, shift * way]))
    return dataclasses.replace(camera, viewmats=viewmat[None].float())


@pytest.fixture
def gaussians(scene: Scene) -> Gaussians:
    """What the photos show."""
    return made_up_scene().transform(scene.normalization)


@pytest.mark.parametrize(("degrees", "shift"), [pytest.param(0.5, 0.01, marks=pytest.mark.slow), (4.0, 0.08)])
def test_scores_with_poses_fitted_are_those_of_the_true_poses(
    scene: Scene, gaussians: Gaussians, degrees: float, shift: float
) -> None:
    views = list(scene.views)
    for view in scene.test:
        views[view] = View(views[view].name, off(views[view].camera, degrees, shift * scene.extent, seed=view))
    spoilt = dataclasses.replace(scene, views=views)
    truth = evaluate_views(gaussians, scene, scene.test, antialias="classic")
    found = evaluate_views(gaussians, spoilt, scene.test, antialias="classic", align=True)
    for true, fitted in zip(truth, found, strict=True):
        assert true.psnr > 55 and true.psnr_aligned is None
        assert fitted.psnr_aligned is not None
        assert fitted.psnr < 40 and fitted.psnr_aligned > true.psnr - 1


def test_masked_pixels_do_not_matter(scene: Scene, gaussians: Gaussians) -> None:
    truth = scene.views[0].camera
    target = render_view(gaussians, truth, antialias="classic", background=None)
    mask = torch.ones(target.shape[:2], dtype=torch.uint8)
    mask[:, :24] = 0
    spoilt = torch.where(mask[..., None] > 0, target, 1 - target)
    found = fit_pose(gaussians, off(truth, 0.5, 0.01), spoilt, mask, antialias="classic")
    assert psnr(render_view(gaussians, found, antialias="classic", background=None), target) > 45


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_no_pose_is_made_worse(scene: Scene, gaussians: Gaussians, seed: int) -> None:
    """Not even where the photo is of something else, or nothing is to be seen."""
    camera = off(scene.views[0].camera, 1.0, 0.02, seed)
    noise = torch.rand(camera.height, camera.width, 3, generator=torch.Generator().manual_seed(seed))
    nothing = gaussians.select(torch.zeros(0, dtype=torch.long))
    for world, target in ((gaussians, noise), (gaussians, noise.round()), (nothing, noise)):
        found = fit_pose(world, camera, target, antialias="classic")
        before, after = (render_view(world, at, antialias="classic", background=None) for at in (camera, found))
        assert found.viewmats.isfinite().all()
        assert psnr(after, target) >= psnr(before, target)
