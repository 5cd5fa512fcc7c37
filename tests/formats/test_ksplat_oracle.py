""".ksplat of GaussianSplats3D's own writer, held against what it was made of and against splat-transform's reader."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from splat.formats import read, write
from splat.gaussians import SH_C0, Gaussians

pytestmark = pytest.mark.slow


def assert_close(a: Gaussians, b: Gaussians, tolerance: float) -> None:
    """In the same order; rotations up to the sign and length of a quaternion."""
    units = [torch.nn.functional.normalize(scene.quats, dim=-1) for scene in (a, b)]
    torch.testing.assert_close((units[0] * units[1]).sum(-1).abs(), torch.ones(len(a)), rtol=0, atol=tolerance)
    for name in ("means", "scales", "opacities", "sh"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("degree", range(3))
@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("section, block, bucket", [(0, 5.0, 256), (300, 1.5, 7)])
def test_all_that_its_writer_writes(
    tmp_path: Path, node, transform, level: int, degree: int, section: int, block: float, bucket: int
) -> None:
    count, generator = 1000, torch.Generator().manual_seed(degree)
    sizes = [(count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3)]
    means, quats, log_scales, logits, sh = (torch.randn(*size, generator=generator) for size in sizes)
    scene = Gaussians(means, quats, log_scales - 4, logits, 0.3 * sh)
    write(scene, tmp_path / "scene.ply")
    node("ksplat.mjs", tmp_path / "scene.ply", tmp_path / "scene.ksplat", level, degree, section, block, bucket)
    ours = read(tmp_path / "scene.ksplat")

    transform(tmp_path / "scene.ksplat", tmp_path / "theirs.ply")
    assert_close(ours, read(tmp_path / "theirs.ply"), 1e-5)
    # It sorts; nothing moves far.
    order = torch.cdist(ours.means, scene.means).argmin(1)
    assert len(order.unique()) == count
    wanted = scene.select(order)
    wanted.sh[:, 0] = ((0.5 + SH_C0 * wanted.sh[:, 0]).clamp(0, 1) - 0.5) / SH_C0
    assert_close(ours, wanted, 1 / 255 / SH_C0)


@pytest.mark.parametrize("name", ["fruit_drops/fruit_drops_level1", "minimal/minimal"])
def test_samples(data: Path, tmp_path: Path, transform, name: str) -> None:
    source = data / "splats" / f"{name}.ksplat"
    transform(source, tmp_path / "theirs.ply")
    theirs = read(tmp_path / "theirs.ply")
    assert_close(read(source), theirs, 1e-5)
