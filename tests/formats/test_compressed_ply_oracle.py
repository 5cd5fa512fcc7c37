"""Compressed PLY through other people's readers and writers: splat-transform from tests/oracles, and gsply."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from splat.formats import read, write
from splat.formats.clean import packable
from splat.gaussians import Gaussians

pytestmark = pytest.mark.slow


def random_gaussians(count: int, degree: int) -> Gaussians:
    generator = torch.Generator().manual_seed(degree)
    sizes = [(count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3)]
    means, quats, log_scales, logits, sh = (torch.randn(*size, generator=generator) for size in sizes)
    return Gaussians(means, quats, log_scales, logits, 0.5 * sh)


def quantities(scene: Gaussians) -> dict[str, Tensor]:
    """What two scenes that look the same agree in: the rotation has two quaternions."""
    unit = torch.nn.functional.normalize(scene.quats, dim=-1)
    return {
        "means": scene.means,
        "rotation": (unit[:, :, None] * unit[:, None]).flatten(1),
        "log_scales": scene.log_scales,
        "opacities": scene.opacities,
        "sh": scene.sh,
    }


def assert_close(a: Gaussians, b: Gaussians, tolerance: float) -> None:
    ours, theirs = quantities(a), quantities(b)
    for name, values in ours.items():
        torch.testing.assert_close(
            values, theirs[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n} {m}"
        )


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("count", [3, 256, 1025])
def test_splat_transform_reads_what_we_write(tmp_path: Path, transform, count: int, degree: int) -> None:
    write(random_gaussians(count, degree), tmp_path / "ours.compressed.ply")
    transform(tmp_path / "ours.compressed.ply", tmp_path / "theirs.ply")
    assert_close(read(tmp_path / "ours.compressed.ply"), read(tmp_path / "theirs.ply"), 1e-5)


@pytest.mark.parametrize("degree", range(4))
def test_we_read_what_splat_transform_writes(tmp_path: Path, transform, degree: int) -> None:
    write(random_gaussians(1025, degree), tmp_path / "scene.ply")
    transform(tmp_path / "scene.ply", tmp_path / "theirs.compressed.ply")
    transform(tmp_path / "theirs.compressed.ply", tmp_path / "unpacked.ply")
    assert_close(read(tmp_path / "theirs.compressed.ply"), read(tmp_path / "unpacked.ply"), 1e-5)


@pytest.mark.parametrize("degree", range(4))
def test_our_error_is_no_greater_than_splat_transform_s(tmp_path: Path, transform, degree: int) -> None:
    scene = packable(random_gaussians(2000, degree), 3)
    write(scene, tmp_path / "scene.ply")
    write(scene, tmp_path / "ours.compressed.ply")
    transform(tmp_path / "scene.ply", tmp_path / "theirs.compressed.ply")
    wanted = quantities(scene)
    errors = []
    for name in ("ours", "theirs"):
        copy = read(tmp_path / f"{name}.compressed.ply")
        # Whose is whose: nothing moves far.
        nearest = torch.cdist(scene.means, copy.means).argmin(1)
        assert len(nearest.unique()) == len(scene)
        got = quantities(copy.select(nearest))
        errors.append({key: (got[key] - wanted[key]).square().mean().item() for key in wanted})
    for key, ours in errors[0].items():
        assert ours <= errors[1][key] * 1.1, (key, errors)


@pytest.mark.parametrize("degree", range(4))
def test_gsply_both_ways(tmp_path: Path, degree: int) -> None:
    gsply = pytest.importorskip("gsply")
    write(random_gaussians(700, degree), tmp_path / "ours.compressed.ply")
    theirs = gsply.plyread(str(tmp_path / "ours.compressed.ply"))
    ours = read(tmp_path / "ours.compressed.ply")
    shn = torch.as_tensor(theirs.shN).reshape(700, -1, 3) if degree else torch.empty(700, 0, 3)
    sh = torch.cat([torch.as_tensor(theirs.sh0)[:, None], shn], dim=1)
    means, quats, scales, opacities = map(
        torch.as_tensor, (theirs.means, theirs.quats, theirs.scales, theirs.opacities)
    )
    back = Gaussians(means, quats, scales, opacities, sh.contiguous())
    # It reads the outer two of 256 steps of SH as the middle of each.
    assert_close(back, ours, 1 / 64 if degree else 1e-5)

    gsply.plywrite(str(tmp_path / "theirs.compressed.ply"), theirs, compressed=True)
    assert_close(read(tmp_path / "theirs.compressed.ply"), ours, 1 / 64)


def test_samples(data: Path, tmp_path: Path, transform) -> None:
    for name, count, degree in (("guitar", 90854, 0), ("fruit_drops/fruit_drops", 4721, 3)):
        source = data / "splats" / f"{name}.compressed.ply"
        transform(source, tmp_path / "theirs.ply")
        scene = read(source)
        assert (len(scene), scene.sh_degree) == (count, degree)
        theirs = read(tmp_path / "theirs.ply")
        theirs.opacity_logits.clamp_(-15, 15)
        assert_close(scene, theirs, 1e-5)
