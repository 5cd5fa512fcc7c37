"""glTF: what is written comes back in the right axes, whatever nodes and number types; damage is told, not believed."""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splat.errors import SplatError
from splat.formats import gltf, read, write
from splat.formats.blocks import BLOCK
from splat.formats.clean import MAX_LOGIT, packable
from splat.gaussians import Gaussians

NAME = "KHR_gaussian_splatting"


def some(count: int = 50, degree: int = 3) -> Gaussians:
    generator = torch.Generator().manual_seed(degree)
    sizes = [(count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3)]
    return Gaussians(*(torch.randn(*size, generator=generator) for size in sizes))


def assert_same(a: Gaussians, b: Gaussians, tolerance: float = 0.0) -> None:
    def close(x: torch.Tensor, y: torch.Tensor, bound: float) -> None:
        torch.testing.assert_close(x, y, rtol=bound, atol=bound)

    close(a.means, b.means, tolerance)
    close(a.sh, b.sh, tolerance)
    close(a.log_scales, b.log_scales, tolerance + 3e-5)
    close(a.opacities, b.opacities, tolerance + 1e-6)
    unit, other = (torch.nn.functional.normalize(scene.quats, dim=-1) for scene in (a, b))
    close((unit * other).sum(-1).abs(), torch.ones(len(a)), tolerance + 1e-6)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)
#: Scales stand in the file themselves, where float32 has the smallest and the largest.
logarithm = st.floats(-20, 88, width=32)


@settings(max_examples=20)
@given(st.data(), st.integers(0, 3), st.integers(1, 5))
def test_every_finite_value_comes_back(tmp_path_factory, data, degree, count) -> None:
    shapes = {"means": (count, 3), "quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    shapes["sh"] = (count, (degree + 1) ** 2, 3)
    elements = {"log_scales": logarithm}
    tensors = {
        name: torch.from_numpy(data.draw(hnp.arrays(np.float32, shape, elements=elements.get(name, finite))))
        for name, shape in shapes.items()
    }
    tensors["quats"] = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))
    path = tmp_path_factory.mktemp("glb") / "scene.glb"
    write(Gaussians.of(tensors), path)
    copy, wanted = read(path), packable(Gaussians.of(tensors), 3)
    assert_same(copy, wanted)
    # Float32 has few numbers just below 1.
    assert (copy.opacity_logits - wanted.opacity_logits).abs().max() < 0.2


def test_more_than_a_block_and_more_degrees_than_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gltf, "ROWS", 1000)
    scene = some(BLOCK + 10, 4)
    write(scene, tmp_path / "scene.glb")
    assert_same(read(tmp_path / "scene.glb"), packable(scene, 3))


def test_none_is_no_scene(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="no Gaussians"):
        write(some(0), tmp_path / "scene.glb")
    with pytest.raises(SplatError, match="read here, not written"):
        write(some(), tmp_path / "scene.gltf")


def taken_apart(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON and the buffer of a .glb."""
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def put_together(path: Path, document: Any, buffer: bytes) -> Path:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<2I", len(text), 0x4E4F534A) + text + struct.pack("<2I", len(buffer), 0x004E4942) + buffer
    path.write_bytes(struct.pack("<3I", 0x46546C67, 2, 12 + len(chunks)) + chunks)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> tuple[dict[str, Any], bytes]:
    write(some(), tmp_path / "parts.glb")
    return taken_apart(tmp_path / "parts.glb")


def test_the_file_has_y_up_and_tells_its_bounds(parts: tuple[dict[str, Any], bytes]) -> None:
    document, buffer = parts
    (primitive,) = document["meshes"][0]["primitives"]
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    stored = np.frombuffer(buffer, "<f4", 150).reshape(50, 3)
    # Half a turn about z from captures, whose y is down.
    assert np.array_equal(stored, packable(some(), 3).means.numpy() * [-1, -1, 1])
    assert position["min"] == stored.min(0).tolist() and position["max"] == stored.max(0).tolist()
    assert primitive["extensions"][NAME]["colorSpace"] == "srgb_rec709_display" and primitive["mode"] == 0


def turn(axis: int, angle: float) -> np.ndarray:
    a, b = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[a, a] = rotation[b, b] = np.cos(angle)
    rotation[a, b], rotation[b, a] = -np.sin(angle), np.sin(angle)
    return rotation


def test_nodes_move_turn_and_scale_what_is_in_them(tmp_path: Path, parts: tuple[dict[str, Any], bytes]) -> None:
    document, buffer = parts
    inner = {"rotation": [np.sin(0.4), 0, 0, np.cos(0.4)], "scale": [2, 2, 2], "translation": [1, 2, 3], "mesh": 0}
    outer = np.eye(4)
    outer[:3, :3], outer[:3, 3] = turn(1, 0.5), [-4, 0, 1]
    document["nodes"] = [{"matrix": outer.T.ravel().tolist(), "children": [1]}, inner]
    whole = outer.copy()
    whole[:3, 3] += outer[:3, :3] @ [1, 2, 3]
    whole[:3, :3] = outer[:3, :3] @ turn(0, 0.8) * 2
    half = np.diag([-1.0, -1.0, 1.0, 1.0])
    moved = packable(some(), 3).transform(torch.from_numpy(half @ whole @ half))
    assert_same(read(put_together(tmp_path / "scene.glb", document, buffer)), moved, 1e-4)
    # Without scenes, every node is shown.
    del document["scenes"], document["scene"]
    assert_same(read(put_together(tmp_path / "scene.glb", document, buffer)), moved, 1e-4)


def test_text_with_its_bytes_beside_it_or_inside(tmp_path: Path, parts: tuple[dict[str, Any], bytes]) -> None:
    document, buffer = parts
    path = tmp_path / "scene.gltf"
    (tmp_path / "a b.bin").write_bytes(buffer)
    document["buffers"][0]["uri"] = "a%20b.bin"
    path.write_text(json.dumps(document))
    assert_same(read(path), packable(some(), 3))
    document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(buffer).decode()
    path.write_text(json.dumps(document))
    assert_same(read(path), packable(some(), 3))
    for uri in ("../a.bin", "/etc/passwd", "http://example.com/a.bin", "%2e%2e/a.bin", "", "absent.bin", "data:,*", 3):
        document["buffers"][0]["uri"] = uri
        path.write_text(json.dumps(document))
        with pytest.raises(SplatError, match=r"scene\.gltf"):
            read(path)


def test_normalised_integers_and_strides(tmp_path: Path, parts: tuple[dict[str, Any], bytes]) -> None:
    document, _ = parts
    scene, floats = packable(some(), 3), parts[1]
    turned = np.frombuffer(floats, "<f4", 200, document["bufferViews"][2]["byteOffset"]).reshape(50, 4)
    packed = np.zeros(50, [("rotation", "<i2", 4), ("scale", "<u2", 3), ("opacity", "u1"), ("pad", "u1")])
    largest = float(scene.scales.max())
    packed["rotation"] = np.round(turned * 32767)
    packed["scale"] = np.round(scene.scales.numpy() / largest * 65535)
    packed["opacity"] = np.round(scene.opacities.numpy() * 255)
    offsets = {"rotation": 0, "scale": 8, "opacity": 14}
    columns = [("ROTATION", 5122, "VEC4"), ("SCALE", 5123, "VEC3"), ("OPACITY", 5121, "SCALAR")]
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    for (name, component, kind), field in zip(columns, ("rotation", "scale", "opacity"), strict=True):
        view = {"buffer": 0, "byteOffset": len(floats), "byteLength": packed.nbytes, "byteStride": packed.itemsize}
        document["bufferViews"].append(view)
        accessor = {"componentType": component, "type": kind, "count": 50, "normalized": True}
        accessor |= {"bufferView": len(document["bufferViews"]) - 1, "byteOffset": offsets[field]}
        attributes[f"{NAME}:{name}"] = len(document["accessors"])
        document["accessors"].append(accessor)
    copy = read(put_together(tmp_path / "scene.glb", document, floats + packed.tobytes()))
    assert (copy.scales - scene.scales / largest).abs().max() < 1e-5
    assert (copy.opacities - scene.opacities).abs().max() < 0.5 / 255 + 1e-6
    unit = torch.nn.functional.normalize(copy.quats, dim=-1)
    assert ((unit * scene.quats).sum(-1).abs() - 1).abs().max() < 1e-4


def test_what_is_not_a_number_is_left_out_and_extremes_are_bounded(
    tmp_path: Path, parts: tuple[dict[str, Any], bytes]
) -> None:
    document, buffer = parts
    values = bytearray(buffer)
    attributes, views = document["meshes"][0]["primitives"][0]["attributes"], document["bufferViews"]

    def put(name: str, row: int, width: int, number: float) -> None:
        view = views[document["accessors"][attributes[name]]["bufferView"]]
        struct.pack_into("<f", values, view["byteOffset"] + 4 * width * row, number)

    put("POSITION", 0, 3, np.nan)
    put(f"{NAME}:SCALE", 1, 3, -1)
    put(f"{NAME}:SCALE", 2, 3, 0)
    put(f"{NAME}:OPACITY", 3, 1, 7)
    put(f"{NAME}:OPACITY", 4, 1, 0)
    with pytest.warns(UserWarning, match="2 of 50 Gaussians are not finite"):
        scene = read(put_together(tmp_path / "scene.glb", document, bytes(values)))
    assert len(scene) == 48 and scene.log_scales[0, 0] == -20
    assert scene.opacity_logits[1] == MAX_LOGIT and scene.opacity_logits[2] == -MAX_LOGIT


def changed(document: dict[str, Any], *keys: Any, to: Any) -> dict[str, Any]:
    """A copy in which one value is another; `...` takes it away."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    if to is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return copy


PRIMITIVE = ("meshes", 0, "primitives", 0)
DAMAGE: list[tuple[tuple[Any, ...], Any]] = [
    (("asset",), ...),
    (("asset", "version"), "1.0"),
    (("scene",), 7),
    (("scene",), True),
    (("scenes", 0, "nodes"), 3),
    (("scenes", 0, "nodes"), [0, 0]),
    (("scenes", 0, "nodes"), [-1]),
    (("nodes", 0, "children"), [0]),
    (("nodes", 0, "children"), "all"),
    (("nodes", 0, "rotation"), [0, 0, 0, 0]),
    (("nodes", 0, "scale"), [1, 2, 3]),
    (("nodes", 0, "scale"), [0, 0, 0]),
    (("nodes", 0, "scale"), [-1, 1, 1]),
    (("nodes", 0, "matrix"), [1] * 15),
    (("nodes", 0, "translation"), ["a", 1, 2]),
    (("nodes", 0, "translation"), [1e300, 1, 2]),
    (("nodes", 0, "mesh"), 1),
    (("nodes", 0, "mesh"), 0.5),
    (("meshes", 0), []),
    (("meshes", 0, "primitives"), {}),
    ((*PRIMITIVE, "attributes"), []),
    ((*PRIMITIVE, "attributes", "POSITION"), ...),
    ((*PRIMITIVE, "attributes", "POSITION"), 2),
    ((*PRIMITIVE, "attributes", f"{NAME}:OPACITY"), 99),
    ((*PRIMITIVE, "attributes", f"{NAME}:SH_DEGREE_0_COEF_0"), ...),
    ((*PRIMITIVE, "attributes", f"{NAME}:SH_DEGREE_2_COEF_1"), ...),
    ((*PRIMITIVE, "extensions"), {}),
    ((*PRIMITIVE, "extensions"), {"KHR_spz_gaussian_splats_compression": {"bufferView": 0}}),
    ((*PRIMITIVE, "extensions", NAME), 1),
    ((*PRIMITIVE, "extensions", NAME, "kernel"), "box"),
    ((*PRIMITIVE, "extensions", NAME, "extensions"), {f"{NAME}_compression_spz_2": {"bufferView": 0}}),
    (("accessors", 0, "count"), 51),
    (("accessors", 0, "count"), 1 << 60),
    (("accessors", 0, "count"), -1),
    (("accessors", 0, "count"), 0),
    (("accessors", 0, "count"), 50.5),
    (("accessors", 0, "byteOffset"), 4),
    (("accessors", 0, "byteOffset"), -4),
    (("accessors", 0, "componentType"), 1),
    (("accessors", 0, "componentType"), [5126]),
    (("accessors", 0, "type"), "MAT4"),
    (("accessors", 0, "sparse"), {}),
    (("accessors", 0, "bufferView"), ...),
    (("bufferViews", 0, "buffer"), 1),
    (("bufferViews", 0, "byteOffset"), 1 << 40),
    (("bufferViews", 0, "byteLength"), 1 << 40),
    (("bufferViews", 0, "byteStride"), 4),
    (("bufferViews", 0, "byteStride"), "12"),
    (("accessors",), None),
    (("buffers",), {}),
]


@pytest.mark.parametrize(("keys", "to"), DAMAGE, ids=lambda value: str(value)[-40:])
def test_what_does_not_fit_is_told(
    tmp_path: Path, parts: tuple[dict[str, Any], bytes], keys: tuple[Any, ...], to: Any
) -> None:
    path = put_together(tmp_path / "scene.glb", changed(parts[0], *keys, to=to), parts[1])
    with pytest.raises(SplatError, match=r"scene\.glb"):
        read(path)


def test_the_same_bytes_cannot_be_read_a_thousand_times(tmp_path: Path, parts: tuple[dict[str, Any], bytes]) -> None:
    document, buffer = parts
    document["meshes"][0]["primitives"] *= 1000
    with pytest.raises(SplatError, match="the same bytes"):
        read(put_together(tmp_path / "scene.glb", document, buffer))


def test_a_mesh_is_looked_through_once(
    tmp_path: Path, parts: tuple[dict[str, Any], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 100 KB of JSON, with 10,000 nodes of 10,000 primitives, would take a minute."""
    document, buffer = parts
    document["meshes"].append({"primitives": [0] * 10})
    document["nodes"] += [{"mesh": 1}] * 10
    document["scenes"] = [{"nodes": [*range(11)]}]
    look, looked = gltf._splats_of, []
    monkeypatch.setattr(gltf, "_splats_of", lambda document, mesh: looked.append(mesh) or look(document, mesh))
    assert len(read(put_together(tmp_path / "scene.glb", document, buffer))) == 50
    assert len(looked) == 2


@pytest.mark.parametrize("value", [b"[],", b"1,"])
def test_json_of_more_values_than_a_scene_has_is_not_read(tmp_path: Path, value: bytes) -> None:
    (tmp_path / "scene.gltf").write_bytes(b'{"asset":{"version":"2.0"},"x":[' + value * 600_000 + b"0]}")
    with pytest.raises(SplatError, match="more values in its JSON"):
        read(tmp_path / "scene.gltf")


@pytest.mark.parametrize("depth", [200, 20_000])
def test_a_deep_scene_is_no_scene(tmp_path: Path, parts: tuple[dict[str, Any], bytes], depth: int) -> None:
    document, buffer = parts
    document["nodes"] = [{"children": [index + 1]} for index in range(depth)] + [{"mesh": 0}]
    with pytest.raises(SplatError, match="below itself"):
        read(put_together(tmp_path / "scene.glb", document, buffer))
    (tmp_path / "scene.gltf").write_text("[" * depth)
    with pytest.raises(SplatError, match="cannot be read"):
        read(tmp_path / "scene.gltf")


def test_linear_colours_are_warned_of(tmp_path: Path, parts: tuple[dict[str, Any], bytes]) -> None:
    document = changed(parts[0], *PRIMITIVE, "extensions", NAME, "colorSpace", to="lin_rec709_display")
    with pytest.warns(UserWarning, match="linear"):
        read(put_together(tmp_path / "scene.glb", document, parts[1]))


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    write(some(3, 1), tmp_path / "whole.glb")
    content, path = (tmp_path / "whole.glb").read_bytes(), tmp_path / "scene.glb"
    for end in range(0, len(content), 29):
        path.write_bytes(content[:end])
        with pytest.raises(SplatError, match=r"scene\.glb"):
            read(path)


@settings(max_examples=20)
@given(st.data())
def test_changed_bytes_are_told_or_read(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("glb")
    write(some(3, 1), folder / "whole.glb")
    content = bytearray((folder / "whole.glb").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "scene.glb").write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = read(folder / "scene.glb")
    except SplatError as error:
        assert "scene.glb" in str(error)
    else:
        assert all(tensor.isfinite().all() for tensor in scene.parameters().values())


def test_the_filter_is_not_kept(tmp_path: Path) -> None:
    write(dataclasses.replace(some(), antialias="antialiased"), tmp_path / "scene.glb")
    assert read(tmp_path / "scene.glb").antialias == "classic"
