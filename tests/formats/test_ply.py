"""PLY: what is written comes back, whatever the file's dialect; damage is told, not believed."""

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
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOGIT
from splat.formats.ply import read_point_cloud
from splat.gaussians import Gaussians


def random_gaussians(count: int, degree: int, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        normal(count, 3), normal(count, 4), normal(count, 3), normal(count), normal(count, (degree + 1) ** 2, 3)
    )


def assert_same(a: Gaussians, b: Gaussians) -> None:
    for name, tensor in a.parameters().items():
        assert torch.equal(tensor, b.parameters()[name]), name


def vertices(path: Path) -> np.ndarray:
    return np.asarray(PlyData.read(str(path))["vertex"].data)


def rewrite(path: Path, records: np.ndarray, *, text: bool = False, byte_order: str = "<") -> None:
    PlyData([PlyElement.describe(records, "vertex")], text=text, byte_order=byte_order).write(str(path))


finite = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)


@settings(max_examples=15)
@given(st.data(), st.integers(0, 4), st.integers(0, 5))
def test_every_finite_value_comes_back_bitwise(tmp_path_factory, data, degree, count) -> None:
    shapes = {"means": (count, 3), "quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    shapes["sh"] = (count, (degree + 1) ** 2, 3)
    tensors = {k: torch.from_numpy(data.draw(hnp.arrays(np.float32, s, elements=finite))) for k, s in shapes.items()}
    # An all-zero quaternion is no rotation and reads as the identity: tested below.
    tensors["quats"][:, 0] += (tensors["quats"] == 0).all(-1)
    path = tmp_path_factory.mktemp("ply") / "scene.ply"
    write(Gaussians.of(tensors), path)
    assert_same(read(path), Gaussians.of(tensors))


def test_more_rows_than_a_block(tmp_path: Path) -> None:
    scene = random_gaussians(10_000, 1)
    write(scene, tmp_path / "scene.ply")
    assert_same(read(tmp_path / "scene.ply"), scene)


def test_layout_is_the_original_release_s(tmp_path: Path) -> None:
    scene = random_gaussians(3, 3)
    write(scene, tmp_path / "scene.ply")
    table = vertices(tmp_path / "scene.ply")
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(45))]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert table.dtype == np.dtype([(name, "<f4") for name in names])
    assert not table["ny"].any()
    # Channel-major: the second coefficient of green follows all 15 of red.
    assert np.array_equal(table["f_rest_16"], scene.sh[:, 2, 1])
    assert np.array_equal(table["rot_0"], scene.quats[:, 0])
    assert (tmp_path / "scene.ply").stat().st_size < 3 * 248 + 2000


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("dialect", [dict(text=True), dict(byte_order=">"), dict(byte_order="<")])
def test_text_and_byte_orders(tmp_path: Path, dialect: dict, degree: int) -> None:
    scene, path = random_gaussians(7, degree), tmp_path / "scene.ply"
    write(scene, path)
    rewrite(path, vertices(path).copy(), **dialect)
    assert_same(read(path), scene)


def test_order_types_and_extra_properties_do_not_matter(tmp_path: Path) -> None:
    scene, path = random_gaussians(7, 2), tmp_path / "scene.ply"
    write(scene, path)
    table = vertices(path)
    names = [name for name in reversed(table.dtype.names or ()) if name not in ("nx", "ny", "nz")]
    other = np.zeros(7, [("filter_3D", "<f4"), *((name, "<f8") for name in names), ("label", "u1")])
    for name in names:
        other[name] = table[name]
    rewrite(path, other)
    assert_same(read(path), scene)


def without(table: np.ndarray, *names: str) -> np.ndarray:
    kept = [name for name in table.dtype.names or () if name not in names]
    out = np.empty(len(table), [(name, table.dtype[name]) for name in kept])
    for name in kept:
        out[name] = table[name]
    return out


def test_flat_gaussians_have_no_third_scale(tmp_path: Path) -> None:
    scene, path = random_gaussians(4, 0), tmp_path / "scene.ply"
    write(scene, path)
    rewrite(path, without(vertices(path), "scale_2"))
    loaded = read(path)
    assert torch.equal(loaded.log_scales[:, :2], scene.log_scales[:, :2])
    assert (loaded.log_scales[:, 2] == FLAT_LOG_SCALE).all()


def test_infinite_opacity_is_bounded_in_both_directions(tmp_path: Path) -> None:
    scene, path = random_gaussians(3, 0), tmp_path / "scene.ply"
    scene.opacity_logits[:] = torch.tensor([torch.inf, -torch.inf, 40.0])
    write(scene, path)
    assert vertices(path)["opacity"].tolist() == [MAX_LOGIT, -MAX_LOGIT, 40]
    table = vertices(path).copy()
    table["opacity"] = [np.inf, -np.inf, 40]
    rewrite(path, table)
    assert read(path).opacity_logits.tolist() == [MAX_LOGIT, -MAX_LOGIT, 40]


def test_zero_scale_and_zero_quaternion_are_repaired(tmp_path: Path) -> None:
    scene, path = random_gaussians(2, 0), tmp_path / "scene.ply"
    scene.log_scales[0, 1] = -torch.inf
    scene.quats[1] = 0
    write(scene, path)
    loaded = read(path)
    assert loaded.log_scales[0, 1] == FLAT_LOG_SCALE
    assert loaded.quats[1].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("antialias", ["classic", "antialiased", "mip"])
def test_the_filter_is_said_in_a_comment(tmp_path: Path, antialias: str) -> None:
    scene = dataclasses.replace(random_gaussians(2, 0), antialias=antialias)
    write(scene, tmp_path / "scene.ply")
    assert read(tmp_path / "scene.ply").antialias == antialias


@pytest.mark.parametrize("name", ["x", "rot_2", "scale_1", "f_dc_0", "f_rest_5", "opacity"])
def test_rows_that_are_not_numbers_are_dropped_with_a_warning(tmp_path: Path, name: str) -> None:
    scene, path = random_gaussians(5, 1), tmp_path / "scene.ply"
    write(scene, path)
    table = vertices(path).copy()
    table[name][[1, 3]] = np.nan
    rewrite(path, table)
    with pytest.warns(UserWarning, match="2 of 5 Gaussians are not finite"):
        loaded = read(path)
    assert_same(loaded, scene.select(torch.tensor([0, 2, 4])))


def test_float64_beyond_float32_counts_as_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "scene.ply"
    write(random_gaussians(2, 0), path)
    table = vertices(path).astype([(name, "<f8") for name in vertices(path).dtype.names or ()])
    table["x"][0] = 1e300
    rewrite(path, table)
    with pytest.warns(UserWarning, match="1 of 2"):
        assert len(read(path)) == 1


def header(count: object, *properties: str, encoding: str = "binary_little_endian") -> bytes:
    lines = ["ply", f"format {encoding} 1.0", f"element vertex {count}", *(f"property {p}" for p in properties)]
    return "\n".join([*lines, "end_header", ""]).encode()


FLOATS = [f"float {name}" for name in ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity")]
FLOATS += [f"float {name}" for name in ("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")]
DAMAGED = {
    "empty": (b"", "no PLY file"),
    "other kind": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no PLY file"),
    "endless header": (b"ply\n" + b"comment x\n" * 100_000, "no PLY file"),
    "claims 10^12": (header(10**12, *FLOATS) + bytes(560), r"claims 1,000,000,000,000 vertex records.*cut short"),
    "claims 10^12 in text": (header(10**12, *FLOATS, encoding="ascii") + b"0 " * 14, "claims 1,000,000,000,000"),
    "claims 10^30": (header(10**30, *FLOATS), "claims 1,000"),
    "NaN of them": (header("nan", *FLOATS), "damaged PLY header: 'element vertex nan'"),
    "fewer than none": (header(-1, *FLOATS), "damaged PLY header"),
    "cut short": (header(10, *FLOATS) + bytes(10 * 56 - 1), "cut short"),
    "cut short in text": (header(3, *FLOATS, encoding="ascii") + b"0.25 0.5 " * 7 * 2 + b"\n", "damaged PLY file"),
    "words for numbers": (header(1, *FLOATS, encoding="ascii") + b"a " * 14 + b"\n", "damaged PLY file"),
    "no vertices": (b"ply\nformat ascii 1.0\nelement face 0\nproperty float x\nend_header\n", "no 'vertex' element"),
    "a point cloud": (header(0, "float x", "float y", "float z", "uchar red"), "lack f_dc_0.*opacity"),
    "wrong SH": (header(0, *FLOATS, "float f_rest_0"), "1 f_rest properties"),
    "gaps in SH": (header(0, *FLOATS, *(f"float f_rest_{i}" for i in range(1, 10))), "9 f_rest properties"),
    "lists": (header(0, *FLOATS, "list uchar int neighbours"), "lists"),
    "unknown type": (header(1, *FLOATS, "quaternion q"), "damaged PLY header: 'property quaternion q'"),
    "unknown encoding": (header(0, *FLOATS, encoding="zip"), "damaged PLY file"),
    "property of nothing": (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "damaged PLY header"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    path = tmp_path / "scene.ply"
    path.write_bytes(content)
    with pytest.raises(SplatError, match=reason) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=25)
@given(st.data())
def test_any_cut_is_noticed(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("cut") / "scene.ply"
    write(random_gaussians(4, 1), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(SplatError, match=r"scene\.ply"):
        read(path)


def test_paths_that_are_no_scene_file(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="does not exist"):
        read(tmp_path / "none.ply")
    with pytest.raises(SplatError, match=r"suffix '\.obj'.*supported: .*\.ply"):
        read(tmp_path / "scene.obj")
    with pytest.raises(SplatError, match="a name without suffix.*supported"):
        write(random_gaussians(1, 0), tmp_path / "scene")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(SplatError, match="name too long"):
        read(tmp_path / f"{'x' * 300}.ply")
    with pytest.raises(SplatError, match="is a folder"):
        read(tmp_path / "folder.ply")


def test_gradients_and_other_dtypes_are_written(tmp_path: Path) -> None:
    scene = random_gaussians(2, 0)
    scene.means.requires_grad_()
    write(scene.to(dtype=torch.float64), tmp_path / "scene.ply")
    assert torch.equal(read(tmp_path / "scene.ply").means, scene.means.detach())


def test_point_cloud(tmp_path: Path) -> None:
    path = tmp_path / "points.ply"
    records = np.zeros(2, [("x", "f4"), ("y", "f4"), ("z", "f8"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
    records[1] = (1, 2, 3, 4, 5, 6)
    rewrite(path, records)
    positions, colors = read_point_cloud(path)
    assert positions.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert colors.tolist() == [[0, 0, 0], [4, 5, 6]]
    rewrite(path, without(records, "red", "green", "blue"))
    assert (read_point_cloud(path)[1] == 128).all()
    rewrite(path, without(records, "z"))
    with pytest.raises(SplatError, match="lack x, y or z"):
        read_point_cloud(path)


@pytest.mark.slow
def test_a_trained_scene_of_somebody_else(data: Path) -> None:
    scene = read(data / "splats" / "fruit_drops" / "fruit_drops.ply")
    assert (len(scene), scene.sh_degree) == (4721, 3)
    assert 0 < scene.opacities.mean() < 1
