"""SOG through PlayCanvas' own converter, both ways; and its sample files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from splat.formats import read, write
from splat.gaussians import Gaussians


def smooth_gaussians(count: int, degree: int) -> Gaussians:
    """Random ones whose values have bounds as trained ones' have."""
    generator = torch.Generator().manual_seed(degree)
    sizes = {"means": (count, 3), "quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    sizes["sh"] = (count, (degree + 1) ** 2, 3)
    tensors = {name: torch.randn(*size, generator=generator) for name, size in sizes.items()}
    tensors["log_scales"] -= 3
    return Gaussians.of(tensors)


def rotations(quats: torch.Tensor) -> torch.Tensor:
    """[N, 4] with a positive w: q and -q are one rotation."""
    quats = torch.nn.functional.normalize(quats, dim=-1)
    return quats * torch.where(quats[:, :1] < 0, -1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("degree", range(4))
def test_splat_transform_reads_what_we_read(tmp_path: Path, transform, degree: int, folder: bool) -> None:
    scene = smooth_gaussians(257, degree)
    path = tmp_path / ("meta.json" if folder else "ours.sog")
    write(scene, path)
    ours = read(path)
    transform(path, tmp_path / "theirs.ply")
    theirs = read(tmp_path / "theirs.ply")
    for name, tensor in ours.parameters().items():
        mine, other = tensor, theirs.parameters()[name]
        if name == "quats":
            mine, other = rotations(mine), rotations(other)
        if name == "opacity_logits":
            # It bounds opacities at 1e-6 from 0 and 1.
            mine, other = mine.clamp(-13.8, 13.8), other.clamp(-13.8, 13.8)
        torch.testing.assert_close(other, mine, rtol=1e-5, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("degree", [0, 1])
def test_we_read_what_splat_transform_writes(tmp_path: Path, transform, degree: int) -> None:
    write(smooth_gaussians(257, degree), tmp_path / "ours.ply")
    transform(tmp_path / "ours.ply", tmp_path / "theirs.sog")
    transform(tmp_path / "theirs.sog", tmp_path / "theirs.ply")
    mine, theirs = read(tmp_path / "theirs.sog"), read(tmp_path / "theirs.ply")
    for name in ("means", "log_scales", "sh"):
        torch.testing.assert_close(mine.parameters()[name], theirs.parameters()[name], rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(rotations(mine.quats), rotations(theirs.quats), rtol=1e-5, atol=2e-5)


@pytest.mark.slow
def test_sample_files(data: Path) -> None:
    wave = read(data / "splats" / "wave.sog")
    assert (len(wave), wave.sh_degree) == (4225, 0)
    drops, original = (read(data / "splats" / "fruit_drops" / f"fruit_drops.{end}") for end in ("sog", "ply"))
    assert (len(drops), drops.sh_degree) == (4721, 3)
    nearest = torch.cdist(drops.means.double(), original.means.double()).argmin(1)
    for name, bound in {"means": 1e-4, "log_scales": 0.3, "opacities": 0.005}.items():
        assert (getattr(drops, name) - getattr(original, name)[nearest]).abs().max() < bound, name
    # A few Gaussians share a palette entry with others unlike them.
    assert (drops.sh - original.sh[nearest]).abs().mean() < 0.02
    assert ((rotations(drops.quats) * rotations(original.quats)[nearest]).sum(1).abs() > 0.999).all()
