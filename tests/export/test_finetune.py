"""What fine-tuning gains, and that it sees the file's rounding."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from splat.export.finetune import finetune
from splat.export.run import Wishes, export
from splat.export.verify import compare, mean
from splat.export.views import Views
from splat.gaussians import Gaussians


def psnr(original: Gaussians, copy: Gaussians, views: Views) -> float:
    value = mean(compare(original, copy, views), "psnr")
    assert value is not None
    return value


@pytest.fixture
def views(views: Views) -> Views:
    """Judged from where they were tuned: eight views say little of sixty blobs from elsewhere."""
    return dataclasses.replace(views, judged=views.trained)


@pytest.mark.parametrize(("name", "gain"), [pytest.param("copy.splat", 0.4, marks=pytest.mark.slow), ("copy.spz", 0.8)])
def test_the_file_gets_closer(name: str, gain: float, shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    plain, tuned = (
        mean(export(shiny, tmp_path / name, views, Wishes(max_gaussians=50, finetune=steps)).losses, "psnr")
        for steps in (0, 100)
    )
    assert plain is not None and tuned is not None and tuned > plain + gain


def test_a_target_is_kept(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    wishes = Wishes(target_size=1100, finetune=60)
    assert export(shiny, tmp_path / "copy.spz", views, wishes).bytes <= 1100


@pytest.mark.slow
def test_coarse_colours_are_made_up_for_by_their_neighbours(shiny: Gaussians, views: Views) -> None:
    """A file that knows four levels of each number of SH, and gives its Gaussians back in another order."""

    def coarse(scene: Gaussians) -> Gaussians:
        rounded = dataclasses.replace(scene, sh=(scene.sh * 1.5).round() / 1.5, quats=-scene.quats)
        return rounded.select(torch.randperm(len(scene), generator=torch.Generator().manual_seed(0)))

    tuned = finetune(shiny, shiny, views, 100, coarse)
    assert psnr(shiny, coarse(tuned), views) > psnr(shiny, coarse(shiny), views) + 0.3


def test_nothing_moves_where_nothing_is_lost(shiny: Gaussians, views: Views) -> None:
    tuned = finetune(shiny, shiny, views, 30, lambda scene: scene)
    assert psnr(shiny, tuned, views) > 45
