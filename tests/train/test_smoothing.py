"""Mip-Splatting's smoothing filter: its sizes, the scene it makes, opacity resets, and a run with it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.datasets.scene import Scene
from splat.gaussians import Gaussians
from splat.render import render
from splat.train.config import InitConfig, SaveConfig, TrainConfig
from splat.train.density.protocol import Edit, Reset
from splat.train.frame import Frame
from splat.train.listeners import Listener, StepReport
from splat.train.smoothing import MARGIN, VARIANCE, Smoothing
from splat.train.trainer import Trainer

CPU = torch.device("cpu")


def camera_at(x: float, z: float, focal: float = 100.0) -> Cameras:
    """Looks along +z from (x, 0, z)."""
    viewmat = torch.eye(4)
    viewmat[0, 3], viewmat[2, 3] = -x, -z
    K = torch.tensor([[focal, 0, 32], [0, focal, 24], [0, 0, 1.0]])
    return Cameras(viewmat[None], K[None], 64, 48)


def gaussians_at(means: Tensor, log_scale: float = -3.0) -> Gaussians:
    count = len(means)
    quats = torch.tensor([1.0, 0.2, -0.3, 0.1]).expand(count, 4)
    log_scales = log_scale + torch.tensor([0.0, -1.0, -2.5]).expand(count, 3)
    return Gaussians(means, quats, log_scales, torch.full((count,), 1.5), torch.full((count, 1, 3), 0.4))


def test_the_camera_that_resolves_a_gaussian_best_decides() -> None:
    means = torch.tensor([[0.0, 0.0, 4.0]])
    far, near, long = camera_at(0, 0), camera_at(0, 2), camera_at(0, 0, focal=400.0)
    for cameras, interval in (([far], 4 / 100), ([far, near], 2 / 100), ([near, far, long], 4 / 400)):
        found = Smoothing(cameras, CPU).filters(means)
        torch.testing.assert_close(found, torch.tensor([math.sqrt(VARIANCE) * interval]))


def test_what_a_camera_does_not_show_it_does_not_resolve() -> None:
    reach = (32 + MARGIN * 64) / 100  # of a point at depth 1
    means = torch.tensor([[0.99 * reach, 0, 1.0], [1.01 * reach, 0, 1.0], [0, 0, -1.0], [0, 0, 5.0]])
    found = Smoothing([camera_at(0, 0)], CPU).filters(means) / math.sqrt(VARIANCE)
    # The second and the third are shown by none, and get the largest of the others.
    torch.testing.assert_close(found, torch.tensor([0.01, 0.05, 0.05, 0.05]))


def test_without_any_photo_that_shows_one_there_is_no_filter() -> None:
    assert not Smoothing([camera_at(0, 0)], CPU).filters(torch.tensor([[0.0, 0, -1]])).any()


@pytest.mark.parametrize("log_scale", [-5.0, -3.0, 1.0])
def test_the_smoothed_scene_looks_like_the_filtered_one(log_scale: float) -> None:
    camera = camera_at(0, 0)
    means = torch.tensor([[0.1, 0.0, 3.0], [-0.2, 0.1, 4.0], [0.0, -0.2, 6.0]])
    gaussians = gaussians_at(means, log_scale)
    smoothing = Smoothing([camera], CPU)
    filters = smoothing.filters(means)
    with torch.no_grad():
        ours = Frame(gaussians, camera, sh_degree=None, antialias="mip", filters=filters).render().rgb
        smoothed = render(smoothing.smoothed(gaussians), camera, antialias="mip").rgb
        raw = render(gaussians, camera, antialias="mip").rgb
    torch.testing.assert_close(smoothed, ours, atol=2e-5, rtol=1e-4)
    if log_scale < 0:  # larger ones are wider than the filter by far
        assert (raw - ours).abs().max() > 1e-3


def test_a_reset_lowers_opacities_as_they_are_rendered() -> None:
    means = torch.tensor([[0.0, 0.0, 3.0], [0.1, 0.0, 3.0]])
    gaussians = gaussians_at(means, log_scale=-4.5)
    smoothing = Smoothing([camera_at(0, 0)], CPU)
    rows, lowered = torch.arange(2), torch.full((2,), math.log(0.01 / 0.99))
    assert smoothing.smoothed(gaussians).opacities.min() > 0.01
    edit = smoothing.lift(Edit(reset=Reset(rows, {"opacity_logits": lowered})), gaussians)
    assert edit.reset is not None
    after = gaussians_at(means, log_scale=-4.5)
    after.opacity_logits = edit.reset.values["opacity_logits"]
    torch.testing.assert_close(smoothing.smoothed(after).opacities, torch.full((2,), 0.01), rtol=1e-3, atol=0)


def test_a_reset_makes_nothing_more_opaque() -> None:
    gaussians = gaussians_at(torch.tensor([[0.0, 0.0, 3.0]]), log_scale=-9.0)
    smoothing = Smoothing([camera_at(0, 0)], CPU)
    assert smoothing.smoothed(gaussians).opacities < 0.01
    reset = Reset(torch.arange(1), {"opacity_logits": torch.tensor([math.log(0.01 / 0.99)])})
    edit = smoothing.lift(Edit(reset=reset), gaussians)
    assert edit.reset is not None
    assert torch.equal(edit.reset.values["opacity_logits"], gaussians.opacity_logits)


def test_what_is_reset_of_some_stays() -> None:
    gaussians = gaussians_at(torch.tensor([[0.0, 0.0, 3.0], [0.1, 0.0, 3.0]]))
    edit = Edit(reset=Reset(torch.tensor([1]), {"opacity_logits": torch.tensor([-2.0])}))
    assert Smoothing([camera_at(0, 0)], CPU).lift(edit, gaussians) is edit


def test_a_run_with_mip_learns_and_hands_out_the_scene_as_it_renders_it(scene: Scene) -> None:
    config = TrainConfig(iterations=80, antialias="mip", max_gaussians=1000, init=InitConfig(few_points=10))
    trainer = Trainer(scene, config)
    before = trainer.evaluate().psnr
    trainer.run()
    assert trainer.evaluate().psnr > before + 2
    assert trainer.smoothing is not None
    shown, raw = trainer.gaussians(), trainer.representation.gaussians()
    assert (shown.scales >= trainer.smoothing.filters(raw.means)[:, None] * 0.9999).all()
    assert (shown.opacities <= raw.opacities).all() and (shown.opacities < raw.opacities).any()


def test_filters_follow_the_gaussians_every_hundred_steps(scene: Scene) -> None:
    found: dict[int, Tensor | None] = {}

    class Watch(Listener):
        def on_step(self, trainer: Trainer, report: StepReport) -> None:
            assert trainer.smoothing is not None
            found[trainer.step] = trainer.smoothing.found

    config = TrainConfig(iterations=101, antialias="mip", init=InitConfig(few_points=10), save=SaveConfig(log_every=50))
    Trainer(scene, config, [Watch()]).run()
    assert found[100] is None and found[101] is not None
    kept = [step for step in range(2, 100) if found[step] is found[step - 1] is not None]
    assert len(kept) > 80  # densification has them found anew, too
