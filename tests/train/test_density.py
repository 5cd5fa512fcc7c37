"""Where Gaussians are added and removed, and that everything which belongs to them follows."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from density_scenes import no_looks
from torch import Tensor

from splat.gaussians import Gaussians
from splat.render import Rendering
from splat.train.config import DensityConfig, TrainConfig
from splat.train.density.adc import Adc
from splat.train.density.protocol import Edit, Reset, apply_edit

EXTENT = 2.0
WIDTH, HEIGHT = 40, 20


def gaussians(scales: list[float], opacities: list[float]) -> Gaussians:
    count = len(scales)
    return Gaussians(
        means=torch.arange(3.0 * count).reshape(count, 3),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.tensor(scales).log()[:, None].repeat(1, 3),
        opacity_logits=torch.tensor(opacities).logit(),
        sh=torch.arange(3.0 * count).reshape(count, 1, 3),
    )


def strategy(count: int, *, max_gaussians: int = 100, **rule: float) -> Adc:
    density = DensityConfig(least_every=1, least_reset_every=1, **rule)  # type: ignore[arg-type]
    return Adc(TrainConfig(30_000, max_gaussians=max_gaussians, density=density), EXTENT, count, torch.device("cpu"))


def observe(adc: Adc, gradients: Tensor, visible: Tensor | None = None, step: int = 1) -> None:
    """One view in which d loss / d means2d is `gradients` [N, 2], in half images."""
    count = len(gradients)
    visible = torch.ones(count, dtype=torch.bool) if visible is None else visible
    means2d = torch.zeros(1, count, 2, requires_grad=True)
    means2d.grad = (gradients * visible[:, None] / torch.tensor([WIDTH / 2, HEIGHT / 2]))[None]
    # What the strategy reads of a Rendering.
    seen = SimpleNamespace(rgb=torch.zeros(1, HEIGHT, WIDTH, 3), means2d=means2d, visible=visible[None])
    adc.observe(cast(Rendering, seen), step)


SMALL, LARGE = 0.01 * EXTENT * 0.9, 0.01 * EXTENT * 1.1
HOT, COLD = [2.1e-4, 0.0], [1.9e-4, 0.0]
GENERATOR = torch.Generator()


def test_hot_small_ones_are_cloned_and_hot_large_ones_split() -> None:
    scene = gaussians([SMALL, LARGE, SMALL, LARGE], [0.5] * 4)
    adc = strategy(4)
    observe(adc, torch.tensor([HOT, HOT, COLD, COLD]))
    edit = adc.adapt(scene, 600, GENERATOR, no_looks)
    assert edit is not None
    assert edit.keep is not None and edit.keep.tolist() == [True, False, True, True]
    assert edit.clone is not None and edit.clone.tolist() == [0]
    assert edit.new is not None
    torch.testing.assert_close(edit.new["log_scales"].exp(), torch.full((2, 3), LARGE / 1.6))
    assert (edit.new["means"] - scene.means[1]).abs().max() < 6 * LARGE
    assert not torch.equal(edit.new["means"][0], edit.new["means"][1])
    torch.testing.assert_close(edit.new["sh"], scene.sh[[1, 1]])


def test_both_axes_count_in_half_images() -> None:
    adc = strategy(1)
    observe(adc, torch.tensor([[1.5e-4, 1.5e-4]]))
    assert adc.statistics["gradient"].item() == pytest.approx(math.hypot(1.5e-4, 1.5e-4))


def test_the_mean_is_over_the_views_that_see_a_gaussian() -> None:
    adc = strategy(2)
    for visible in ([True, True], [False, True], [False, True]):
        observe(adc, torch.tensor([[3e-4, 0.0], [1e-4, 0.0]]), torch.tensor(visible))
    edit = adc.adapt(gaussians([SMALL] * 2, [0.5] * 2), 600, GENERATOR, no_looks)
    assert edit is not None and edit.clone is not None and edit.clone.tolist() == [0]


def test_splits_follow_the_shape_and_rotation_of_the_parent() -> None:
    turned = gaussians([1.0], [0.5])
    half = math.sqrt(0.5)
    turned.quats[0] = torch.tensor([2 * half, 0.0, 0.0, 2 * half])  # A quarter turn about z takes x to y.
    turned.log_scales[0] = torch.tensor([1.0, 0.01, 0.01]).log()
    adc = strategy(1)
    observe(adc, torch.tensor([HOT]))
    edit = adc.adapt(turned, 600, torch.Generator().manual_seed(1), no_looks)
    assert edit is not None and edit.new is not None
    offset = (edit.new["means"] - turned.means).abs()
    assert (offset[:, 1] > 10 * offset[:, 0]).all() and (offset[:, 1] > 10 * offset[:, 2]).all()


def test_only_between_start_and_stop_and_every_so_often() -> None:
    scene = gaussians([SMALL], [0.5])
    adc = strategy(1)
    due = [step for step in range(1, 16_000) if adc.adapt(scene, step, GENERATOR, no_looks) is not None]
    assert due == list(range(600, 15_000, 100))


def test_short_runs_refine_no_more_often_than_they_can_judge() -> None:
    adc = Adc(TrainConfig(2_000), EXTENT, 1, torch.device("cpu"))
    scene = gaussians([SMALL], [0.5])
    due = [step for step in range(1, 2_001) if adc.adapt(scene, step, GENERATOR, no_looks) is not None]
    assert due and due[0] >= 33 and due[-1] < 1_000
    assert min(later - sooner for sooner, later in zip(due, due[1:], strict=False)) >= DensityConfig().least_every


def test_invisible_broken_and_later_huge_ones_are_removed() -> None:
    scene = gaussians([SMALL, SMALL, SMALL, 0.11 * EXTENT], [0.5, 0.004, 0.5, 0.5])
    scene.means[2, 1] = math.nan
    early = strategy(4).adapt(scene, 600, GENERATOR, no_looks)
    assert early is not None and early.keep is not None and early.keep.tolist() == [True, False, False, True]
    late = strategy(4).adapt(scene, 3_100, GENERATOR, no_looks)
    assert late is not None and late.keep is not None and late.keep.tolist() == [True, False, False, False]


def test_the_cap_holds_and_the_hottest_grow_first() -> None:
    scene = gaussians([SMALL, LARGE, SMALL, SMALL], [0.5, 0.5, 0.5, 0.001])
    adc = strategy(4, max_gaussians=5)
    observe(adc, torch.tensor([[4e-4, 0], [5e-4, 0], [3e-4, 0], [9e-4, 0]]))
    edit = adc.adapt(scene, 600, GENERATOR, no_looks)
    assert edit is not None
    # One of the four is invisible and goes, so two may be doubled.
    parameters = dict(scene.parameters())
    apply_edit(edit, parameters, [], adc.statistics)
    assert len(parameters["means"]) == 5
    assert edit.clone is not None and edit.clone.tolist() == [0]
    assert edit.keep is not None and edit.keep.tolist() == [True, False, True, False]


def test_a_full_scene_still_loses_what_is_invisible() -> None:
    scene = gaussians([SMALL] * 3, [0.5] * 3)
    adc = strategy(3, max_gaussians=3)
    observe(adc, torch.tensor([HOT] * 3))
    edit = adc.adapt(scene, 600, GENERATOR, no_looks)
    assert edit is not None and edit.clone is not None and edit.clone.numel() == 0


def test_opacity_reset_lowers_all_and_forgets_their_momentum() -> None:
    scene = gaussians([SMALL, SMALL], [0.5, 0.006])
    adc = strategy(2)
    edit = adc.adapt(scene, 3_000, GENERATOR, no_looks)
    assert edit is not None and edit.reset is not None
    parameters = {name: tensor.clone().requires_grad_() for name, tensor in scene.parameters().items()}
    moments = {name: torch.ones_like(tensor) for name, tensor in parameters.items()}
    apply_edit(edit, parameters, [moments], adc.statistics)
    torch.testing.assert_close(parameters["opacity_logits"].sigmoid(), torch.tensor([0.01, 0.006]))
    assert moments["opacity_logits"].eq(0).all()
    assert moments["means"].eq(1).all()


def test_children_born_at_a_reset_are_reset_too() -> None:
    adc = strategy(1)
    observe(adc, torch.tensor([HOT]))
    edit = adc.adapt(gaussians([LARGE], [0.9]), 3_000, GENERATOR, no_looks)
    assert edit is not None and edit.new is not None
    torch.testing.assert_close(edit.new["opacity_logits"].sigmoid(), torch.full((2,), 0.01))


def test_an_edit_changes_parameters_moments_and_statistics_alike() -> None:
    parameters = {"a": torch.arange(4.0).requires_grad_(), "b": torch.arange(8.0).reshape(4, 2).requires_grad_()}
    moments = {name: tensor.detach() + 100 for name, tensor in parameters.items()}
    statistics = {"seen": torch.arange(4, dtype=torch.int32)}
    edit = Edit(
        reset=Reset(torch.tensor([3]), {"a": torch.tensor([30.0])}),
        keep=torch.tensor([True, False, True, True]),
        clone=torch.tensor([3, 0]),
        new={"a": torch.tensor([50.0]), "b": torch.tensor([[60.0, 70.0]])},
    )
    apply_edit(edit, parameters, [moments], statistics)
    assert parameters["a"].tolist() == [0, 2, 30, 30, 0, 50]
    assert parameters["b"].tolist() == [[0, 1], [4, 5], [6, 7], [6, 7], [0, 1], [60, 70]]
    assert moments["a"].tolist() == [100, 102, 0, 0, 0, 0]
    assert moments["b"].tolist() == [[100, 101], [104, 105], [106, 107], [0, 0], [0, 0], [0, 0]]
    assert statistics["seen"].tolist() == [0, 2, 3, 0, 0, 0]
    assert all(tensor.requires_grad and tensor.is_leaf for tensor in parameters.values())


def test_an_empty_edit_changes_nothing() -> None:
    parameters = {"a": torch.arange(3.0).requires_grad_()}
    apply_edit(Edit(), parameters, [], {})
    assert parameters["a"].tolist() == [0, 1, 2]
