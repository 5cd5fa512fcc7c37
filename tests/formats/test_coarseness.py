"""Coarser rounding: fewer bytes, and errors that grow no faster than the steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from even_gaussians import even_gaussians, matched

from splat.formats import read, write


@pytest.mark.parametrize("suffix", [".sog", ".spz"])
def test_coarser_is_smaller_and_as_far_off_as_its_steps_say(suffix: str, tmp_path: Path) -> None:
    scene, sizes, errors = even_gaussians(800, 1), [], []
    for coarseness in (1.0, 2.0, 4.0):
        path = tmp_path / f"{coarseness}{suffix}"
        write(scene, path, importance=torch.ones(len(scene)), coarseness=coarseness)
        copy = read(path)
        original = matched(scene, copy)
        assert len(copy) == len(scene) and copy.sh_degree == 1
        sizes.append(path.stat().st_size)
        errors.append(
            {
                "means": float((copy.means - original.means).abs().mean()),
                "opacities": float((copy.opacities - original.opacities).abs().mean()),
                "colours": float((copy.sh[:, 0] - original.sh[:, 0]).abs().mean()),
            }
        )
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 0.9 * sizes[0]
    for name in errors[0]:
        # Positions of SPZ have whole bits.
        assert errors[0][name] < errors[-1][name] < 4 * 1.5 * errors[0][name], name


def test_no_rounding_is_finer_than_usual(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="coarseness must be at least 1, not 0.5"):
        write(even_gaussians(3, 0), tmp_path / "scene.spz", coarseness=0.5)


def test_what_does_not_coarsen_takes_no_notice(tmp_path: Path) -> None:
    scene = even_gaussians(3, 0)
    write(scene, tmp_path / "a.ply")
    write(scene, tmp_path / "b.ply", coarseness=4.0)
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
