"""Compressed PLY: within its steps everything comes back; damage is told, not believed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plyfile import PlyData, PlyElement

from splat.errors import SplatError
from splat.formats import read, write
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOGIT, packable
from splat.gaussians import Gaussians

CHUNK = 256


def random_gaussians(count: int, degree: int, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        normal(count, 3), normal(count, 4), normal(count, 3), normal(count), normal(count, (degree + 1) ** 2, 3)
    )


def chunk_sizes(values: torch.Tensor) -> torch.Tensor:
    """How far the values [N, 3] of its chunk reach, for each row."""
    parts = values.double().split(CHUNK) if len(values) else []
    return torch.cat([values[:0].double(), *((part.amax(0) - part.amin(0)).expand(len(part), 3) for part in parts)])


def assert_within_its_steps(scene: Gaussians, path: Path) -> None:
    """Writes, reads, and compares in the order written."""
    write(scene, path)
    back, scene = read(path), packable(scene, 3)
    assert len(back) == len(scene)
    steps = torch.tensor([2047, 1023, 2047]).double()

    def near(got: torch.Tensor, wanted: torch.Tensor, error: torch.Tensor | float) -> None:
        # float32 keeps 24 bits of what the limits are.
        slack = wanted.double().abs() * 1e-6 + 1e-6
        assert ((got.double() - wanted.double()).abs() <= error + slack).all()

    near(back.means, scene.means, chunk_sizes(scene.means) / steps * 0.501)
    clamped = scene.log_scales.clamp(-20, 20)
    near(back.log_scales, clamped, chunk_sizes(clamped) / steps * 0.501)
    near(back.sh[:, 0], scene.sh[:, 0], chunk_sizes(scene.sh[:, 0]) / 255 * 0.501)
    near(back.opacities, scene.opacities, 0.5 / 255)
    # Three components to half of sqrt(2) / 1023 each; the fourth, which is at least 1/2, takes up to what they make.
    assert ((back.quats * scene.quats).sum(-1).abs() >= 1 - 6e-6).all()
    assert back.sh_degree <= scene.sh_degree
    same_degree = back.with_sh_degree(scene.sh_degree)
    # The ends of the range stand for the half step that they close.
    near(same_degree.sh[:, 1:], scene.sh[:, 1:].clamp(-4, 4), 1 / 32)
    inner = scene.sh[:, 1:].abs() < 4 - 1 / 32
    near(same_degree.sh[:, 1:][inner], scene.sh[:, 1:][inner], 1 / 64 + 2e-6)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)


@settings(max_examples=15)
@given(st.data(), st.integers(0, 4), st.integers(0, 5))
def test_every_finite_value_comes_back_within_its_step(tmp_path_factory, data, degree, count) -> None:
    shapes = {"means": (count, 3), "quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    shapes["sh"] = (count, (degree + 1) ** 2, 3)
    tensors = {k: torch.from_numpy(data.draw(hnp.arrays(np.float32, s, elements=finite))) for k, s in shapes.items()}
    # Lengths that float32 cannot square are no rotations.
    tensors["quats"] = tensors["quats"].clamp(-1, 1)
    tensors["quats"][:, 0] += (tensors["quats"].norm(dim=1) < 1e-3) * 2
    assert_within_its_steps(Gaussians.of(tensors), tmp_path_factory.mktemp("ply") / "scene.compressed.ply")


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 4500])
def test_all_counts_and_degrees(tmp_path: Path, count: int, degree: int) -> None:
    assert_within_its_steps(random_gaussians(count, degree), tmp_path / "scene.compressed.ply")


def test_far_from_the_origin_the_chunk_s_size_counts(tmp_path: Path) -> None:
    scene = random_gaussians(300, 0)
    scene.means = scene.means * 1e-3 + 1000
    assert_within_its_steps(scene, tmp_path / "scene.compressed.ply")


@pytest.mark.parametrize("largest", range(4))
@pytest.mark.parametrize("sign", [-1, 1])
def test_each_component_may_be_the_largest(tmp_path: Path, largest: int, sign: int) -> None:
    scene = random_gaussians(50, 0)
    scene.quats[:, largest] = 5.0 * sign
    assert_within_its_steps(scene, tmp_path / "scene.compressed.ply")


def test_layout_is_supersplat_s(tmp_path: Path) -> None:
    write(random_gaussians(300, 3), tmp_path / "scene.compressed.ply")
    chunk, vertex, sh = PlyData.read(str(tmp_path / "scene.compressed.ply")).elements
    assert [(element.name, element.count) for element in (chunk, vertex, sh)] == [
        ("chunk", 2),
        ("vertex", 300),
        ("sh", 300),
    ]
    assert (chunk.data["max_scale_y"] >= chunk.data["min_scale_y"]).all()
    assert {kind.val_dtype for kind in chunk.properties} == {"f4"}
    assert {kind.val_dtype for kind in vertex.properties} == {"u4"}
    assert [item.name for item in sh.properties] == [f"f_rest_{i}" for i in range(45)]
    # The two ends of each range are reached.
    assert {0, 2047} <= set((vertex.data["packed_position"] >> 21).tolist())


def test_zeros_lean_to_no_side(tmp_path: Path) -> None:
    scene = random_gaussians(4096, 2)
    scene.sh[:, 4:] *= torch.rand(4096, 1, 1, generator=torch.Generator().manual_seed(1)) < 0.1
    write(scene, tmp_path / "scene.compressed.ply")
    kept = packable(scene, 3).sh == 0
    zeros = torch.where(kept, read(tmp_path / "scene.compressed.ply").sh, 0)[:, 4:]
    assert ((zeros == 0) | (zeros.abs() == 1 / 64)).all()
    # Over the neighbours of each of 16 places, one coefficient's zeros make less than a tenth of a step.
    assert zeros.view(16, 256, 5, 3).mean(1).abs().max() < 0.1 / 32


def test_bands_without_a_coefficient_are_left_out(tmp_path: Path) -> None:
    scene = random_gaussians(20, 3)
    scene.sh[:, 4:] = 0
    write(scene, tmp_path / "scene.compressed.ply")
    assert read(tmp_path / "scene.compressed.ply").sh_degree == 1


def test_files_without_the_colours_range(tmp_path: Path) -> None:
    """Older files: 12 limits a chunk, and colours from 0 to 1."""
    path = tmp_path / "old.compressed.ply"
    write(random_gaussians(300, 0), tmp_path / "new.compressed.ply")
    chunk, vertex = PlyData.read(str(tmp_path / "new.compressed.ply")).elements
    names = list(chunk.data.dtype.names)[:12]
    limits = np.empty(len(chunk.data), [(name, "<f4") for name in names])
    for name in names:
        limits[name] = chunk.data[name]
    vertex.data["packed_color"] = 0xFF800033
    PlyData([PlyElement.describe(limits, "chunk"), vertex], byte_order="<").write(str(path))
    back = read(path)
    rgb = 0.5 + 0.28209479177387814 * back.sh[:, 0]
    torch.testing.assert_close(rgb, torch.tensor([1.0, 128 / 255, 0.0]).expand(300, 3))
    torch.testing.assert_close(back.opacities, torch.full((300,), 0.2))


def test_whole_and_no_opacity_are_bounded(tmp_path: Path) -> None:
    scene = random_gaussians(3, 0)
    scene.opacity_logits[:] = torch.tensor([-30.0, 0.0, 30.0])
    write(scene, tmp_path / "scene.compressed.ply")
    logits = read(tmp_path / "scene.compressed.ply").opacity_logits
    assert {-MAX_LOGIT, MAX_LOGIT} < set(logits.tolist())


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    scene = random_gaussians(10, 1)
    write(scene, tmp_path / "scene.compressed.ply")
    (tmp_path / "scene.compressed.ply").rename(tmp_path / "packed.ply")
    write(scene, tmp_path / "plain.ply")
    (tmp_path / "plain.ply").rename(tmp_path / "plain.compressed.ply")
    assert len(read(tmp_path / "packed.ply")) == 10
    assert torch.equal(read(tmp_path / "plain.compressed.ply").sh, scene.sh)


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    scene = random_gaussians(300, 1)
    scene.means[7] = torch.nan
    scene.log_scales[8] = -torch.inf
    write(scene, tmp_path / "scene.compressed.ply")
    back = read(tmp_path / "scene.compressed.ply")
    assert len(back) == 299
    assert back.log_scales.min() == FLAT_LOG_SCALE
    content = bytearray((tmp_path / "scene.compressed.ply").read_bytes())
    start = content.index(b"end_header\n") + len(b"end_header\n")
    content[start : start + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "scene.compressed.ply").write_bytes(content)
    with pytest.warns(UserWarning, match="256 of 299 Gaussians are not finite"):
        assert len(read(tmp_path / "scene.compressed.ply")) == 43


def test_the_filter_is_forgotten(tmp_path: Path) -> None:
    scene = dataclasses.replace(random_gaussians(2, 0), antialias="mip")
    write(scene, tmp_path / "scene.compressed.ply")
    assert read(tmp_path / "scene.compressed.ply").antialias == "classic"


BOUNDS = [f"{end}_{axis}" for axis in ("x", "y", "z", "scale_x", "scale_y", "scale_z") for end in ("min", "max")]
PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]


def header(*elements: tuple[str, object, str, list[str]], encoding: str = "binary_little_endian") -> bytes:
    lines = ["ply", f"format {encoding} 1.0"]
    for name, count, kind, names in elements:
        lines += [f"element {name} {count}", *(f"property {kind} {item}" for item in names)]
    return "\n".join([*lines, "end_header", ""]).encode()


DAMAGED = {
    "claims 10^12": (header(("chunk", 10**12, "float", BOUNDS), ("vertex", 2, "uint", PACKED)), "claims 1,000,000"),
    "more claimed": (
        header(("chunk", 1, "float", BOUNDS), ("vertex", 256, "uint", PACKED)) + bytes(48 + 255 * 16),
        "claims 256 vertex",
    ),
    "no chunks": (header(("vertex", 1, "uint", PACKED)) + bytes(16), "lack their chunks"),
    "other chunks": (
        header(("chunk", 2, "float", BOUNDS), ("vertex", 1, "uint", PACKED)) + bytes(96 + 16),
        "lack their chunks",
    ),
    "big-endian": (
        header(("chunk", 0, "float", BOUNDS), ("vertex", 0, "uint", PACKED), encoding="binary_big_endian"),
        "not little-endian",
    ),
    "chunks of integers": (header(("chunk", 0, "int", BOUNDS), ("vertex", 0, "uint", PACKED)), "'chunk' element"),
    "vertices of bytes": (header(("chunk", 0, "float", BOUNDS), ("vertex", 0, "uchar", PACKED)), "'vertex' element"),
    "no scales": (header(("chunk", 0, "float", BOUNDS), ("vertex", 0, "uint", PACKED[:2])), "'vertex' element"),
    "no limits": (header(("chunk", 0, "float", BOUNDS[1:]), ("vertex", 0, "uint", PACKED)), "'chunk' element"),
    "lists before": (
        header(("face", 1, "list uchar int", ["i"]), ("chunk", 0, "float", BOUNDS), ("vertex", 0, "uint", PACKED))
        + b"\0",
        "'chunk' element",
    ),
    "SH of others": (
        header(
            ("chunk", 0, "float", BOUNDS),
            ("vertex", 0, "uint", PACKED),
            ("sh", 1, "uchar", [f"f_rest_{i}" for i in range(9)]),
        )
        + bytes(9),
        "SH for 1 of 0",
    ),
    "8 coefficients": (
        header(
            ("chunk", 0, "float", BOUNDS),
            ("vertex", 0, "uint", PACKED),
            ("sh", 0, "uchar", [f"f_rest_{i}" for i in range(8)]),
        ),
        "8 f_rest properties",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    path = tmp_path / "scene.compressed.ply"
    path.write_bytes(content)
    with pytest.raises(SplatError, match=reason) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=25)
@given(st.data())
def test_any_cut_is_noticed(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("cut") / "scene.compressed.ply"
    write(random_gaussians(4, 1), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(SplatError, match=r"scene\.compressed\.ply"):
        read(path)
