"""SPZ through other people's readers and writers: PlayCanvas, Adobe, spz-loader, gsply; and sample files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from even_gaussians import angles, even_gaussians, matched

from splat.cameras import Cameras, intrinsics, look_at
from splat.formats import read, spz, write
from splat.gaussians import Gaussians
from splat.render import render


@pytest.fixture
def readers(node):
    """What Adobe's and spz-loader's readers make of a file, as scenes; the latter's None where it knows no better."""

    def scene(values: dict, activated: bool) -> Gaussians:
        array = {k: torch.tensor(v, dtype=torch.float64) for k, v in values.items() if k != "antialiased"}
        count = len(array["alphas"])
        rest = array["sh"].view(count, -1, 3)
        dc = array["colors"].view(count, 1, 3)
        return Gaussians(
            array["positions"].view(count, 3),
            array["rotations"].view(count, 4)[:, [3, 0, 1, 2]],
            array["scales"].view(count, 3).log() if activated else array["scales"].view(count, 3),
            torch.logit(array["alphas"]) if activated else array["alphas"],
            torch.cat([(dc - 0.5) / 0.282 if activated else dc, rest], 1),
            antialias="antialiased" if values["antialiased"] else "classic",
        )

    def run(path: Path) -> list[Gaussians]:
        answer = json.loads(node("spz.mjs", path).splitlines()[-1])
        return [scene(values, name == "loader") for name, values in answer.items()]

    return run


def assert_close(ours: Gaussians, theirs: Gaussians, tolerance: float = 2e-5, angle: float = 1e-3) -> None:
    assert len(ours) == len(theirs)
    for name in ("means", "log_scales", "opacities", "sh"):
        a, b = getattr(ours, name).double(), getattr(theirs, name).double()
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}")
    assert angles(ours.quats, theirs.quats).max() < angle


@pytest.mark.slow
@pytest.mark.parametrize(("version", "degree"), [(3, 0), (3, 1), (3, 2), (3, 3), (4, 0), (4, 3), (4, 4)])
def test_all_read_what_we_read(tmp_path: Path, transform, readers, version: int, degree: int) -> None:
    scene, path = even_gaussians(257, degree), tmp_path / "ours.spz"
    scene.antialias = "antialiased"
    spz.write(scene, path, version=version)
    ours = read(path)
    others = readers(path)
    assert len(others) == (2 if version == 3 else 1)
    for theirs in others:
        assert_close(ours, theirs)
        assert theirs.antialias == "antialiased"
    if degree < 4:
        transform(path, tmp_path / "theirs.ply")
        assert_close(ours, read(tmp_path / "theirs.ply"))


@pytest.mark.slow
@pytest.mark.parametrize("degree", range(4))
def test_we_read_what_splat_transform_writes(tmp_path: Path, transform, degree: int) -> None:
    scene = even_gaussians(257, degree)
    write(scene, tmp_path / "ours.ply")
    transform(tmp_path / "ours.ply", tmp_path / "theirs.spz")
    copy = read(tmp_path / "theirs.spz")
    scene = matched(scene, copy)
    assert (copy.means - scene.means).abs().max() < 1.3e-4
    assert (copy.log_scales - scene.log_scales).abs().max() < 1 / 32 + 1e-5
    assert (copy.sh[:, 1:] - scene.sh[:, 1:]).abs().max() < 0.08 if degree else True
    assert (copy.sh[:, 0] - scene.sh[:, 0]).abs().max() < 0.0132
    assert angles(copy.quats, scene.quats).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("version", [3, 4])
def test_gsply_reads_and_writes_the_same_in_its_axes(tmp_path: Path, version: int) -> None:
    gsply = pytest.importorskip("gsply")
    scene = even_gaussians(1000, 3)
    spz.write(scene, tmp_path / "ours.spz", version=version)
    data = gsply.read_spz(tmp_path / "ours.spz")
    ours = read(tmp_path / "ours.spz")
    # It gives what is in the file: right, up, back.
    np.testing.assert_allclose(data.means * [1, -1, -1], ours.means, atol=1e-6)
    np.testing.assert_allclose(data.scales, ours.log_scales, atol=1e-6)
    flips = spz._flips(spz.RUB)[2][:15, None]
    np.testing.assert_allclose(data.shN * flips, ours.sh[:, 1:], atol=1e-6)
    np.testing.assert_allclose(data.quats * [1, 1, -1, -1], ours.quats, atol=2e-4)
    gsply.write_spz(tmp_path / "theirs.spz", data, version=version)
    # It rounds quaternions anew.
    assert_close(ours, read(tmp_path / "theirs.spz"), angle=0.004)


def picture(scene: Gaussians) -> torch.Tensor:
    """From an oblique camera, on none of the axes."""
    camera = look_at(torch.tensor([[1.3, -0.9, -1.7]]), torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    return render(scene, Cameras(camera, intrinsics(64, 48, 0.8)[None], 64, 48)).rgb


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return -10 * math.log10(max(float((a - b).square().mean()), 1e-10))


@pytest.mark.slow
@pytest.mark.parametrize("coefficient", range(1, 16))
def test_the_picture_is_the_same_in_every_band(tmp_path: Path, transform, coefficient: int) -> None:
    """A long Gaussian, askew and off the axes, with one SH coefficient: through our file and theirs, both ways."""
    sh = torch.zeros(1, 16, 3)
    sh[0, 0], sh[0, coefficient] = 0.8, torch.tensor([0.75, -0.75, 0.375])
    scene = Gaussians(
        torch.tensor([[0.25, -0.125, 0.0625]]),
        torch.tensor([[0.8, 0.5, -0.3, 0.2]]),
        torch.tensor([[-0.75, -2.0, -3.0]]),
        torch.tensor([2.0]),
        sh,
    )
    wanted = picture(scene)
    plain = psnr(wanted, picture(scene.with_sh_degree(0)))
    write(scene, tmp_path / "scene.ply")
    write(scene, tmp_path / "ours.spz")
    transform(tmp_path / "ours.spz", tmp_path / "ours.ply")
    transform(tmp_path / "scene.ply", tmp_path / "theirs.spz")
    for name in ("ours.spz", "ours.ply", "theirs.spz"):
        assert psnr(wanted, picture(read(tmp_path / name))) > max(38, plain + 10), name


@pytest.mark.slow
def test_sample_files(data: Path, readers) -> None:
    folder = data / "splats"
    for name in ("v2", "raw"):
        minimal = read(folder / "minimal" / f"minimal-{name}.spz")
        assert (len(minimal), minimal.sh_degree) == (4, 0)
        assert minimal.means.tolist() == [[-1, 0, 1], [0, 0, 1], [-1, 0, 0], [0, 0, 0]]
    for name in ("minimal/minimal-v2", "minimal/minimal-v3", "minimal/minimal-v4", "fruit_drops/fruit_drops_v3"):
        path = folder / f"{name}.spz"
        for theirs in readers(path):
            assert_close(read(path), theirs)
    original = read(folder / "fruit_drops" / "fruit_drops.ply")
    for version in (3, 4):
        drops = read(folder / "fruit_drops" / f"fruit_drops_v{version}.spz")
        assert (drops.means - original.means).abs().max() < 1.3e-4
        assert (drops.sh[:, 1:] - original.sh[:, 1:]).abs().max() < 0.07
        assert angles(drops.quats, original.quats).max() < 0.01
