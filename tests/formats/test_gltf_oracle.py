"""glTF through other people's programs: splat-transform's files, and the Khronos validator on ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from splat.formats import read, write
from splat.formats.clean import packable
from splat.gaussians import Gaussians

NAME = "KHR_gaussian_splatting"

pytestmark = pytest.mark.slow


def random_gaussians(count: int, degree: int) -> Gaussians:
    generator = torch.Generator().manual_seed(degree)
    sizes = [(count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3)]
    return Gaussians(*(torch.randn(*size, generator=generator) for size in sizes))


def assert_close(a: Gaussians, b: Gaussians) -> None:
    for name in ("means", "log_scales", "opacities", "sh"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=2e-5, atol=2e-5, msg=name)
    units = [torch.nn.functional.normalize(scene.quats, dim=-1) for scene in (a, b)]
    assert ((units[0] * units[1]).sum(-1).abs() - 1).abs().max() < 1e-5


def ordered(scene: Gaussians) -> Gaussians:
    return scene.select(scene.means[:, 0].argsort())


@pytest.mark.parametrize("degree", range(4))
def test_we_read_what_splat_transform_writes(tmp_path: Path, transform, degree: int) -> None:
    write(random_gaussians(257, degree), tmp_path / "scene.ply")
    transform(tmp_path / "scene.ply", tmp_path / "theirs.glb")
    assert_close(ordered(read(tmp_path / "theirs.glb")), ordered(read(tmp_path / "scene.ply")))


def test_we_read_the_sample_upright(data: Path) -> None:
    folder = data / "splats" / "fruit_drops"
    assert_close(ordered(read(folder / "fruit_drops.glb")), ordered(read(folder / "fruit_drops.ply")))


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("count", [1, 3, 1025])
def test_the_validator_finds_no_fault(tmp_path: Path, node, degree: int, count: int) -> None:
    write(random_gaussians(count, degree), tmp_path / "scene.glb")
    found = json.loads(node("validate_gltf.mjs", tmp_path / "scene.glb"))
    # Of the extension it knows nothing, so neither the attributes that it names; all else it has checked.
    faults = [issue for issue in found["issues"]["messages"] if issue["severity"] < 2]
    unknown = {issue["code"] for issue in faults if f"attributes/{NAME}:" in issue["pointer"]}
    assert unknown == {"MESH_PRIMITIVE_INVALID_ATTRIBUTE"} and not found["issues"]["truncated"]
    assert not [issue for issue in faults if f"attributes/{NAME}:" not in issue["pointer"]]
    assert found["info"]["totalVertexCount"] == count


def test_our_columns_are_theirs(tmp_path: Path, transform) -> None:
    """Value by value, but for the order of the Gaussians and the fallback colour."""
    scene = packable(random_gaussians(257, 3), 3)
    write(scene, tmp_path / "ours.glb")
    write(scene, tmp_path / "scene.ply")
    transform(tmp_path / "scene.ply", tmp_path / "theirs.glb")
    ours, theirs = ordered(read(tmp_path / "ours.glb")), ordered(read(tmp_path / "theirs.glb"))
    assert torch.equal(ours.means, theirs.means) and torch.equal(ours.sh, theirs.sh)
    assert_close(ours, theirs)
