"""Revising densification: the wrong pixels say what is doubled, and copies share their opacity."""

from __future__ import annotations

import torch
from density_scenes import CPU, HEIGHT, WIDTH, looks_of, rendered, row_of_gaussians, settings

from splat.gaussians import Gaussians
from splat.train.density.protocol import apply_edit
from splat.train.density.revising import OPACITY_LOSS, Revising

GENERATOR = torch.Generator()
#: So large that all are cloned, so small that all are split.
CLONES, SPLITS = 1000.0, 0.01


def strategy(count: int, extent: float, max_gaussians: int = 100) -> Revising:
    revising = Revising(settings(max_gaussians=max_gaussians), extent, count, CPU)
    revising.growth = 2.0
    return revising


def test_only_what_is_blended_into_wrong_pixels_is_doubled() -> None:
    scene = row_of_gaussians([0.1, 0.1, 0.1], [0.9, 0.9, 0.9])
    photo = rendered(scene)
    photo[:, WIDTH // 2 - 4 : WIDTH // 2 + 4] = 0
    edit = strategy(3, CLONES).adapt(scene, 600, GENERATOR, looks_of(scene, photo))
    assert edit is not None and edit.clone is not None and edit.clone.tolist() == [1]
    right = strategy(3, CLONES).adapt(scene, 600, GENERATOR, looks_of(scene, rendered(scene)))
    assert right is not None and right.clone is not None and right.clone.tolist() == []


def test_two_clones_hide_what_one_did() -> None:
    scene = row_of_gaussians([0.2], [0.84])
    before = rendered(scene)[HEIGHT // 2, WIDTH // 2]
    edit = strategy(1, CLONES).adapt(scene, 600, GENERATOR, looks_of(scene, torch.zeros(HEIGHT, WIDTH, 3)))
    assert edit is not None
    parameters = dict(scene.parameters())
    apply_edit(edit, parameters, [], {})
    after = Gaussians.of(parameters).detach()
    torch.testing.assert_close(after.opacities, torch.full((2,), 0.6))
    # Exact in the centre, where the whole opacity shows.
    torch.testing.assert_close(rendered(after)[HEIGHT // 2, WIDTH // 2], before, atol=5e-3, rtol=0)


def test_large_ones_are_split() -> None:
    scene = row_of_gaussians([0.2], [0.84])
    edit = strategy(1, SPLITS).adapt(scene, 600, GENERATOR, looks_of(scene, torch.zeros(HEIGHT, WIDTH, 3)))
    assert edit is not None and edit.keep is not None and edit.keep.tolist() == [False]
    assert edit.new is not None and len(edit.new["means"]) == 2


def test_growth_is_limited_and_the_worst_come_first() -> None:
    scene = row_of_gaussians([0.1] * 4, [0.3, 0.3, 0.9, 0.3])
    revising = strategy(4, CLONES)
    revising.growth = 1.25
    edit = revising.adapt(scene, 600, GENERATOR, looks_of(scene, torch.zeros(HEIGHT, WIDTH, 3)))
    assert edit is not None and edit.clone is not None and edit.clone.tolist() == [2]


def test_opacities_sink_a_little_at_each_refinement_and_only_there() -> None:
    scene = row_of_gaussians([0.1] * 3, [0.5, 0.0015, 0.9])
    nudge = strategy(3, CLONES).nudge(scene, 600, 1e-4, GENERATOR)
    assert nudge is not None
    sunk = (scene.opacity_logits + nudge.offsets["opacity_logits"]).sigmoid()
    torch.testing.assert_close(sunk, torch.tensor([0.5 - OPACITY_LOSS, OPACITY_LOSS, 0.9 - OPACITY_LOSS]))
    assert strategy(3, CLONES).nudge(scene, 601, 1e-4, GENERATOR) is None
