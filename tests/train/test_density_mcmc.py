"""MCMC: what has faded moves to where opacity is, the image stays, noise stirs only what hardly shows."""

from __future__ import annotations

import math

import pytest
import torch
from density_scenes import CPU, no_looks, rendered, row_of_gaussians, settings

from splat.gaussians import Gaussians
from splat.train.density.mcmc import OPACITY_WEIGHT, SCALE_WEIGHT, Mcmc
from splat.train.density.noise import STRENGTH
from splat.train.density.protocol import Edit, apply_edit, apply_nudge


def strategy(count: int, max_gaussians: int = 100) -> Mcmc:
    return Mcmc(settings(max_gaussians=max_gaussians), 2.0, count, CPU)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def carried_out(edit: Edit, gaussians: Gaussians) -> tuple[Gaussians, dict[str, torch.Tensor]]:
    """The scene after an edit, and moments that were ones before it."""
    parameters = {name: tensor.clone() for name, tensor in gaussians.parameters().items()}
    moments = {name: torch.ones_like(tensor) for name, tensor in parameters.items()}
    apply_edit(edit, parameters, [moments], {})
    return Gaussians.of(parameters).detach(), moments


def test_the_dead_move_to_the_living_and_the_number_stays() -> None:
    scene = row_of_gaussians([0.1] * 4, [0.8, 0.004, 0.5, 0.001])
    edit = strategy(4, max_gaussians=4).adapt(scene, 600, generator(), no_looks)
    assert edit is not None and edit.keep is not None and edit.keep.tolist() == [True, False, True, False]
    after, moments = carried_out(edit, scene)
    assert len(after) == 4
    assert edit.clone is not None and len(edit.clone) == 2 and set(edit.clone.tolist()) <= {0, 2}
    # Sources and copies start their moments anew.
    sources = set(edit.clone.tolist())
    for row, source in enumerate([0, 2]):
        assert all(tensor[row].eq(0 if source in sources else 1).all() for tensor in moments.values())
    assert all(tensor[2:].eq(0).all() for tensor in moments.values())


def test_broken_ones_move_too() -> None:
    scene = row_of_gaussians([0.1] * 3, [0.8, 0.8, 0.8])
    scene.means[1, 0] = math.nan
    edit = strategy(3, max_gaussians=3).adapt(scene, 600, generator(), no_looks)
    assert edit is not None
    after, _ = carried_out(edit, scene)
    assert len(after) == 3 and after.means.isfinite().all()


def test_the_image_stays_nearly_the_same() -> None:
    scene = row_of_gaussians([0.2, 0.2], [0.8, 0.002])
    edit = strategy(2, max_gaussians=2).adapt(scene, 600, generator(), no_looks)
    assert edit is not None
    after, _ = carried_out(edit, scene)
    copied = Gaussians.concat([scene.select(torch.tensor([0, 0]))])
    before = rendered(scene)
    assert (rendered(after) - before).abs().max() < 0.05
    # A copy as it is would have made it brighter.
    assert (rendered(copied) - before).abs().max() > 0.1


def test_growth_is_five_percent_up_to_the_cap() -> None:
    scene = row_of_gaussians([0.01] * 100, [0.5] * 100)
    grown = strategy(100, max_gaussians=1000).adapt(scene, 600, generator(), no_looks)
    capped = strategy(100, max_gaussians=103).adapt(scene, 600, generator(), no_looks)
    assert grown is not None and grown.clone is not None and len(grown.clone) == 5
    assert capped is not None and capped.clone is not None and len(capped.clone) == 3


def test_opaque_ones_are_drawn_more_often() -> None:
    scene = row_of_gaussians([0.01] * 100, [0.9] * 50 + [0.1] * 50)
    for row in range(50):
        scene.opacity_logits[row] = 2.0
    mcmc = strategy(100, max_gaussians=100_000)
    mcmc.growth = 101.0
    edit = mcmc.adapt(scene, 600, generator(), no_looks)
    assert edit is not None and edit.clone is not None
    share_of_opaque = (edit.clone < 50).double().mean().item()
    expected = scene.opacities[:50].sum().item() / scene.opacities.sum().item()
    assert share_of_opaque == pytest.approx(expected, abs=0.02)


def test_it_acts_between_500_and_25000_every_100() -> None:
    scene = row_of_gaussians([0.1], [0.5])
    mcmc = strategy(1)
    due = [step for step in range(1, 30_001) if mcmc.adapt(scene, step, generator(), no_looks) is not None]
    assert due == list(range(600, 25_000, 100))


def test_noise_has_the_covariance_squared_and_spares_the_opaque() -> None:
    count, rate = 20_000, 1e-6
    scene = row_of_gaussians([1.0], [0.005]).select(torch.zeros(count, dtype=torch.int64))
    scene.log_scales[:] = torch.tensor([0.5, 0.1, 0.2]).log()
    scene.quats[:] = torch.tensor([2**0.5, 0.0, 0.0, 2**0.5])  # A quarter turn about z takes x to y.
    offsets = strategy(count).nudge(scene, 1, rate, generator()).offsets["means"]
    expected = STRENGTH * rate * 0.5 * torch.tensor([0.01, 0.25, 0.04])
    torch.testing.assert_close(offsets.std(dim=0), expected, rtol=0.03, atol=0)
    scene.opacity_logits[:] = 0.0
    assert strategy(count).nudge(scene, 1, rate, generator()).offsets["means"].abs().max() < 1e-15


def test_the_pull_is_the_gradient_of_the_mean_opacity_and_scale() -> None:
    scene = row_of_gaussians([0.1, 0.3, 0.02], [0.2, 0.5, 0.9])
    leaves = scene.opacity_logits.clone().requires_grad_(), scene.log_scales.clone().requires_grad_()
    (OPACITY_WEIGHT * leaves[0].sigmoid().mean() + SCALE_WEIGHT * leaves[1].exp().mean()).backward()
    gradients = strategy(3).nudge(scene, 1, 1e-4, generator()).gradients
    torch.testing.assert_close(gradients["opacity_logits"], leaves[0].grad)
    torch.testing.assert_close(gradients["log_scales"], leaves[1].grad)


def test_a_nudge_adds_to_parameters_and_moments_in_place() -> None:
    scene = row_of_gaussians([0.1, 0.3], [0.2, 0.005])
    nudge = strategy(2).nudge(scene, 1, 1e-4, generator())
    parameters = {name: tensor.clone().requires_grad_() for name, tensor in scene.parameters().items()}
    first, second = ({name: torch.ones_like(tensor) for name, tensor in parameters.items()} for _ in range(2))
    leaf = parameters["means"]
    apply_nudge(nudge, parameters, (first, second))
    assert parameters["means"] is leaf
    torch.testing.assert_close(leaf.detach(), scene.means + nudge.offsets["means"])
    gradient = nudge.gradients["log_scales"]
    torch.testing.assert_close(first["log_scales"], 1 + 0.1 * gradient)
    torch.testing.assert_close(second["log_scales"], 1 + 0.001 * gradient**2)
    assert first["sh"].eq(1).all() and second["quats"].eq(1).all()
