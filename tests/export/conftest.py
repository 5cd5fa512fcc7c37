"""A run whose scene is the one its photos show, with colours that depend on the direction."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from made_up import made_up_scene
from made_up_run import write_run

from splat.export.views import Views, of_run
from splat.gaussians import Gaussians


@pytest.fixture(scope="session")
def run(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's folder; not to be written to."""
    return write_run(capture, tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="session")
def views(run: Path) -> Views:
    return of_run(run, run / "cameras.json")


@pytest.fixture
def shiny() -> Gaussians:
    """Sixty blobs of SH degree 2."""
    scene = made_up_scene().with_sh_degree(2)
    noise = torch.randn(scene.sh.shape, generator=torch.Generator().manual_seed(1))
    return dataclasses.replace(scene, sh=scene.sh + 0.1 * noise)
