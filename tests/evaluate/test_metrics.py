"""PSNR and SSIM against their definitions, and scores of whole views."""

from __future__ import annotations

import math

import pytest
import torch
from made_up import made_up_scene

from splat.datasets.scene import Scene
from splat.evaluate.metrics import PSNR_MAX, ViewMetrics, evaluate_views, fit_colours, psnr, ssim
from splat.evaluate.perceptual import lpips_metric


def images(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(20, 30, 3, generator=generator), torch.rand(20, 30, 3, generator=generator)


def test_psnr_is_its_definition() -> None:
    a, b = images()
    assert float(psnr(a, b)) == pytest.approx(10 * math.log10(1 / float((a - b).square().mean())), abs=1e-4)
    assert float(psnr(torch.full((4, 5, 3), 0.5), torch.full((4, 5, 3), 0.6))) == pytest.approx(20, abs=1e-4)


def test_psnr_clamps_the_render_and_stays_finite() -> None:
    _, target = images()
    white = torch.ones_like(target)
    assert float(psnr(white * 7, white)) == PSNR_MAX
    assert float(psnr(target, target)) == PSNR_MAX


def test_a_mask_leaves_only_its_pixels() -> None:
    a, b = images()
    mask = torch.zeros(20, 30, dtype=torch.uint8)
    mask[:, :10] = 1
    spoilt = torch.where(mask[..., None] > 0, a, 1 - a)
    assert float(psnr(spoilt, b, mask)) == pytest.approx(float(psnr(a[:, :10], b[:, :10])), abs=1e-4)
    assert float(ssim(spoilt, b, mask)) == pytest.approx(float(ssim(a, b, mask)), abs=1e-6)


def test_ssim_of_equal_and_of_different_images() -> None:
    a, b = images()
    assert float(ssim(a, a)) == pytest.approx(1, abs=1e-6)
    assert float(ssim(a, b)) < 0.5
    everything = torch.ones(20, 30, dtype=torch.uint8)
    assert float(ssim(a, b, everything)) == pytest.approx(float(ssim(a, b)), abs=1e-6)


def test_fitted_colours_undo_any_affine_map_and_nothing_else() -> None:
    rendered, _ = images()
    matrix = torch.tensor([[0.6, 0.1, 0.0], [0.0, 0.5, 0.1], [0.05, 0.0, 0.7]])
    photo = rendered @ matrix + torch.tensor([0.1, 0.0, 0.05])
    assert psnr(rendered, photo) < 20
    torch.testing.assert_close(fit_colours(rendered, photo), photo, atol=1e-5, rtol=0)
    # A darker half is no map of the colours.
    half = torch.where(torch.arange(30)[:, None] < 15, photo, 0.3 * photo)
    assert psnr(fit_colours(rendered, half), half) < 25


def test_fitted_colours_heed_the_mask_and_renders_of_one_colour() -> None:
    rendered, other = images()
    mask = torch.zeros(20, 30, dtype=torch.uint8)
    mask[:, :10] = 1
    photo = torch.where(mask[..., None] > 0, 0.5 * rendered, other)
    fitted = fit_colours(rendered, photo, mask)
    torch.testing.assert_close(fitted[:, :10], photo[:, :10], atol=1e-5, rtol=0)
    grey, mean = torch.full_like(rendered, 0.3), other.mean((0, 1))
    torch.testing.assert_close(fit_colours(grey, other), mean.expand_as(other), atol=1e-4, rtol=0)
    assert fit_colours(grey, other, torch.zeros_like(mask)).isfinite().all()


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"target must be \[H, W, 3\] with H = 20"):
        psnr(images()[0], torch.zeros(3, 30, 3))


def test_the_truth_scores_high_and_a_wrong_scene_low(scene: Scene) -> None:
    truth = made_up_scene().transform(scene.normalization)
    told: list[ViewMetrics] = []
    good = evaluate_views(truth, scene, scene.test, antialias="classic", progress=told.append)
    wrong = made_up_scene().select(torch.arange(30)).transform(scene.normalization)
    bad = evaluate_views(wrong, scene, scene.test, antialias="classic")
    assert told == good and [view.name for view in good] == [scene.views[index].name for index in scene.test]
    # What is left is the photos' rounding to 8 bits.
    assert all(view.psnr > 45 and view.ssim > 0.99 and view.lpips is None for view in good)
    assert all(high.psnr > low.psnr + 10 for high, low in zip(good, bad, strict=True))


def test_the_background_shows_through(scene: Scene) -> None:
    truth = made_up_scene().transform(scene.normalization)
    white = evaluate_views(truth, scene, scene.test, antialias="classic", background=torch.ones(3))
    black = evaluate_views(truth, scene, scene.test, antialias="classic")
    assert white[0].psnr < black[0].psnr - 10


def test_lpips_is_measured_or_says_why_not() -> None:
    metric, note = lpips_metric(torch.device("cpu"))
    if metric is None:
        assert note.startswith("left out: ")
    else:
        a, b = (image.repeat(4, 4, 1) for image in images())
        assert metric(a, a) < 1e-6 < metric(a, b) and "AlexNet" in note
