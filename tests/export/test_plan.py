"""A size that is asked for: it is kept, and what fits is the best of what was tried."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from made_up import made_up_scene

from splat.errors import SplatError
from splat.export import plan as planning
from splat.export.importance import weigh
from splat.export.plan import Planner
from splat.export.run import Wishes, export
from splat.export.views import Views
from splat.formats import read
from splat.gaussians import Gaussians


def planner(scene: Gaussians, views: Views) -> Planner:
    return Planner(scene, weigh(scene, views), views, "copy.ply", sh_degree=scene.sh_degree, count=len(scene))


@pytest.fixture
def shiny(shiny: Gaussians) -> Gaussians:
    """Many more blobs, so that a file's header hardly counts."""
    parts = [dataclasses.replace(shiny, means=shiny.means + 0.05 * shift) for shift in torch.randn(15, 60, 3).unbind()]
    return Gaussians.concat(parts)


@pytest.mark.parametrize(
    "target", [130_000, *(pytest.param(target, marks=pytest.mark.slow) for target in (60_000, 20_000))]
)
def test_the_file_is_as_large_as_asked_for(target: int, shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    exported = export(shiny, tmp_path / "copy.ply", views, Wishes(target_size=target))
    assert 0.95 * target <= (tmp_path / "copy.ply").stat().st_size == exported.bytes <= target
    assert exported.plan is not None and exported.plan.chosen.bytes == exported.bytes
    assert exported.plan.chosen.gaussians == exported.gaussians == len(read(tmp_path / "copy.ply"))
    best = max(exported.plan.candidates, key=lambda each: each.psnr)
    assert best.sh_degree == exported.sh_degree and f"SH degree {best.sh_degree}" in str(exported.plan)


@pytest.mark.slow
def test_the_smaller_the_farther_off(shiny: Gaussians, views: Views) -> None:
    found = planner(shiny, views)
    scores = [found.fit(target)[2].chosen.psnr for target in (20_000, 60_000, 130_000)]
    assert scores == sorted(scores) and scores[2] > scores[0] + 3


def test_where_all_fits_nothing_is_left_out(shiny: Gaussians, views: Views) -> None:
    scene, _, plan = planner(shiny, views).fit(1_000_000)
    assert scene is shiny and len(plan.candidates) == 1 and plan.chosen.psnr == 100


def test_the_least_that_is_possible_is_said(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    with pytest.raises(SplatError, match=r"copy\.ply cannot be made as small as 400 bytes: with a single Gau"):
        export(shiny, tmp_path / "copy.ply", views, Wishes(target_size=400))
    assert not list(tmp_path.iterdir())


def test_a_degree_whose_header_alone_is_too_long_leaves_the_lower_ones(shiny: Gaussians, views: Views) -> None:
    plan = planner(shiny, views).fit(700)[2]
    assert plan.chosen.sh_degree == 0 < shiny.sh_degree and plan.chosen.gaussians > 1 and plan.chosen.bytes <= 700


def test_sizes_of_large_scenes_are_told_from_a_part(
    shiny: Gaussians, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SAMPLE", 200)
    exported = export(shiny, tmp_path / "copy.ply", views, Wishes(target_size=60_000))
    assert 57_000 <= exported.bytes <= 60_000


@pytest.mark.parametrize("sample", [planning.SAMPLE, 600])
def test_coarser_numbers_are_tried_where_they_may_be_better(
    sample: int, shiny: Gaussians, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SAMPLE", sample)
    target = 9_000
    exported = export(shiny, tmp_path / "coarser.spz", views, Wishes(target_size=target, finetune=2))
    monkeypatch.setattr(planning, "COARSENESS", (1.0,))
    pruned = export(shiny, tmp_path / "pruned.spz", views, Wishes(target_size=target))
    assert exported.plan is not None and pruned.plan is not None
    assert exported.bytes <= target and exported.plan.chosen.psnr > pruned.plan.chosen.psnr - 0.1
    assert any(each.coarseness > 1 for each in exported.plan.candidates)


def test_where_every_gaussian_counts_numbers_are_rounded_more(views: Views) -> None:
    scene = made_up_scene().with_sh_degree(1)
    found = Planner(scene, weigh(scene, views), views, "copy.spz", sh_degree=1, count=len(scene))
    target = int(0.8 * found.fit(10_000)[2].chosen.bytes)
    plan = found.fit(target)[2]
    assert plan.chosen.coarseness > 1 and plan.chosen.bytes <= target
    assert f"times coarser were chosen for {target:,} bytes" in str(plan)
