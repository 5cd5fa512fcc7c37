""".splat through PlayCanvas' converter, and sample files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from splat.formats import read, write
from splat.formats.clean import packable


@pytest.mark.slow
def test_splat_transform_reads_what_we_read(tmp_path: Path, transform, data: Path) -> None:
    plane = read(data / "splats" / "airplane.splat")
    assert len(plane) == 26108
    write(plane, tmp_path / "ours.splat")
    ours = read(tmp_path / "ours.splat")
    transform(tmp_path / "ours.splat", tmp_path / "theirs.ply")
    theirs = read(tmp_path / "theirs.ply")
    for name, bound in {"means": 0.0, "log_scales": 1e-5, "sh": 1e-5, "opacities": 1e-5}.items():
        assert (getattr(ours, name) - getattr(theirs, name)).abs().max() <= bound, name
    # It takes bytes for 255ths of the way from -1 to 1.
    cosines = torch.nn.functional.normalize(ours.quats, dim=-1) * torch.nn.functional.normalize(theirs.quats, dim=-1)
    assert cosines.sum(1).abs().min() > 0.9999


@pytest.mark.slow
def test_a_sample_file_comes_back_as_it_was(tmp_path: Path, data: Path) -> None:
    plane = packable(read(data / "splats" / "airplane.splat"), 0)
    write(plane, tmp_path / "ours.splat")
    copy = packable(read(tmp_path / "ours.splat"), 0)
    for name, bound in {"means": 0.0, "log_scales": 1e-5, "sh": 0.0, "opacities": 1e-7}.items():
        values = (getattr(scene, name).view(len(plane), -1).sort(0).values for scene in (plane, copy))
        assert torch.sub(*values).abs().max() <= bound, name
