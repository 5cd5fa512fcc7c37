"""glTF with KHR_gaussian_splatting: points with the Gaussians' parameters as attributes, in .glb or .gltf.

    POSITION                     VEC3, with min and max
    ...:ROTATION                 VEC4 xyzw
    ...:SCALE                    VEC3 linear
    ...:OPACITY                  SCALAR 0 to 1
    ...:SH_DEGREE_l_COEF_n       VEC3 r g b, n from m = -l to l
    COLOR_0                      what viewers that know points only show

Readers take normalised integers, too. glTF has y up and z to the front, x to the left: captures' axes after half a turn
about z, which is what PlayCanvas' splat-transform writes. Nodes' transformations turn the colours, too.

Source:
    https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from splat.errors import SplatError
from splat.files import atomic
from splat.formats.blocks import for_blocks
from splat.formats.clean import MAX_LOG_SCALE, packable, repaired
from splat.formats.gltf_json import BIN_CHUNK, JSON_CHUNK, MAGIC, VERSION, Column, Document
from splat.gaussians import SH_C0, Gaussians

NAME = "KHR_gaussian_splatting"
SH_DEGREE = 3
#: Half a turn about z: on positions, on SH coefficients by the parity of their m, and on wxyz as product from the left.
TURN = (-1.0, -1.0, 1.0)
SH_TURN = torch.tensor([(-1.0) ** m for degree in range(SH_DEGREE + 1) for m in range(-degree, degree + 1)])
#: Gaussians that are written at a time.
ROWS = 1 << 15
#: How many nodes deep a scene may be.
MAX_DEPTH = 100
MAX_BYTES = (1 << 32) - 1


def read(path: Path) -> Gaussians:
    """Reads all Gaussians of a glTF scene; see `splat.formats.read`."""
    document = Document(path)
    parts, claimed = [], 0
    for primitive, matrix in _splats(document):
        columns = _columns(document, primitive)
        claimed += sum(column.values.nbytes for column in columns.values())
        # Else a small file could name the same bytes a million times.
        if claimed > document.size:
            raise SplatError(f"{path} names the same bytes for several Gaussians, which Splat does not read")
        parts.append(_placed(path, _decoded(columns), matrix))
    if not parts:
        raise SplatError(f"{path} holds no Gaussians ({NAME}), perhaps a mesh: give a file that a splat tool wrote")
    degree = max(part.sh_degree for part in parts)
    scene = parts[0] if len(parts) == 1 else Gaussians.concat(part.with_sh_degree(degree) for part in parts)
    return repaired(path, scene)


def write(gaussians: Gaussians, path: Path) -> None:
    """Writes a .glb; see `splat.formats.write`."""
    if path.suffix.lower() != ".glb":
        raise SplatError(f"{path}: glTF is written as one binary file: choose a name that ends with .glb")
    scene = packable(gaussians, SH_DEGREE)
    count = len(scene)
    if not count:
        raise SplatError(f"{path}: the scene holds no Gaussians, and glTF cannot say so: choose another scene or .ply")
    columns = _encoders(scene)
    header, offsets, size = _described(scene, columns)
    if 28 + len(header) + size > MAX_BYTES:
        raise SplatError(f"{path}: a .glb holds 4 GiB at most: write fewer Gaussians or another format")
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<5I", MAGIC, VERSION, 28 + len(header) + size, len(header), JSON_CHUNK) + header)
        file.write(struct.pack("<2I", size, BIN_CHUNK))
        _write_columns(file, file.tell(), count, columns, offsets)


def _splats(document: Document) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The primitives that are Gaussians, each with its [4, 4] transformation to the scene."""
    scenes = document.json.get("scenes")
    if scenes:
        roots = document.item("scenes", document.json.get("scene", 0)).get("nodes", [])
    else:
        nodes = _list(document, document.json, "nodes")
        listed = [child for node in nodes if isinstance(node, dict) for child in _list(document, node, "children")]
        inner = {child for child in listed if type(child) is int}
        roots = [index for index in range(len(nodes)) if index not in inner]
    if not isinstance(roots, list):
        raise document.damaged("its scene has no list of nodes")
    seen: set[int] = set()
    # Of meshes, which are looked through once, however many nodes show them.
    primitives: dict[int, list[dict[str, Any]]] = {}
    left = [(root, np.eye(4), 0) for root in reversed(roots)]
    while left:
        index, outer, depth = left.pop()
        node = document.item("nodes", index)
        if index in seen or depth > MAX_DEPTH:
            raise document.damaged(f"node {index} is below itself or belongs to two others")
        seen.add(index)
        matrix = outer @ _matrix(document, node)
        left += [(child, matrix, depth + 1) for child in reversed(_list(document, node, "children"))]
        if "mesh" not in node:
            continue
        mesh = document.item("meshes", node["mesh"])
        if node["mesh"] not in primitives:
            primitives[node["mesh"]] = [*_splats_of(document, mesh)]
        for primitive in primitives[node["mesh"]]:
            yield primitive, matrix


def _splats_of(document: Document, mesh: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The primitives of a mesh that are Gaussians."""
    for primitive in _list(document, mesh, "primitives"):
        extensions = primitive.get("extensions") if isinstance(primitive, dict) else None
        if isinstance(extensions, dict) and NAME in extensions:
            _check(document, extensions[NAME])
            yield primitive
        elif isinstance(extensions, dict) and any("spz" in name.lower() for name in extensions):
            raise _compressed(document)


def _check(document: Document, extension: Any) -> None:
    """Whether these Gaussians are such as we draw."""
    if not isinstance(extension, dict):
        raise document.damaged(f"{NAME} is no object")
    if extension.get("extensions"):
        raise _compressed(document)
    if extension.get("kernel", "ellipse") != "ellipse":
        raise SplatError(f"{document.path} has Gaussians of the kind {extension['kernel']!r}, not ellipses")
    if str(extension.get("colorSpace", "")).startswith("lin"):
        warnings.warn(f"{document.path}: its colours are linear, and are shown as if they were not", stacklevel=6)


def _compressed(document: Document) -> SplatError:
    return SplatError(
        f"{document.path} is compressed inside (SPZ), which Splat does not read: export .glb without, or .spz"
    )


def _list(document: Document, values: dict[str, Any], name: str) -> list[Any]:
    found = values.get(name, [])
    if not isinstance(found, list):
        raise document.damaged(f"{name} is no list")
    return found


def _matrix(document: Document, node: dict[str, Any]) -> np.ndarray:
    """[4, 4] of a node: its matrix, or its translation, rotation and scale."""

    def numbers(name: str, default: list[float]) -> np.ndarray:
        values = node.get(name, default)
        fits = isinstance(values, list) and len(values) == len(default)
        if not fits or not all(type(value) in (int, float) and abs(value) < 1e12 for value in values):
            raise document.damaged(f"the {name} of a node is {values!r}"[:200])
        return np.array(values, np.float64)

    if "matrix" in node:
        return numbers("matrix", np.eye(4).ravel().tolist()).reshape(4, 4).T
    x, y, z, w = numbers("rotation", [0.0, 0.0, 0.0, 1.0])
    length = x * x + y * y + z * z + w * w
    if not length > 1e-12:
        raise document.damaged("the rotation of a node is none")
    rotation = np.eye(3) + 2 / length * np.array(
        [
            [-(y * y + z * z), x * y - w * z, x * z + w * y],
            [x * y + w * z, -(x * x + z * z), y * z - w * x],
            [x * z - w * y, y * z + w * x, -(x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * numbers("scale", [1.0, 1.0, 1.0])
    matrix[:3, 3] = numbers("translation", [0.0, 0.0, 0.0])
    return matrix


def _columns(document: Document, primitive: dict[str, Any]) -> dict[str, Column]:
    """The attributes of a primitive by their names, those of the extension without its own."""
    attributes = primitive.get("attributes")
    if not isinstance(attributes, dict):
        raise document.damaged("Gaussians have no attributes")
    wanted = {"POSITION": 3, "ROTATION": 4, "SCALE": 3, "OPACITY": 1, "SH_DEGREE_0_COEF_0": 3}
    for degree in range(1, SH_DEGREE + 1):
        names = [f"SH_DEGREE_{degree}_COEF_{n}" for n in range(2 * degree + 1)]
        present = [f"{NAME}:{name}" in attributes for name in names]
        if any(present) and not all(present):
            raise document.damaged(f"SH of degree {degree} is not whole")
        if not any(present):
            break
        wanted |= dict.fromkeys(names, 3)
    columns = {}
    for name, width in wanted.items():
        key = name if name == "POSITION" else f"{NAME}:{name}"
        if key not in attributes:
            raise document.damaged(f"Gaussians have no {key}")
        columns[name] = document.column(attributes[key])
        if columns[name].values.shape[1] != width or len(columns[name].values) != len(columns["POSITION"].values):
            raise document.damaged(f"{key} does not fit POSITION")
    return columns


def _decoded(columns: dict[str, Column]) -> Gaussians:
    """The Gaussians in the file's own axes."""
    count, coefficients = len(columns["POSITION"].values), len(columns) - 4
    scene = Gaussians(
        means=torch.empty(count, 3),
        quats=torch.empty(count, 4),
        log_scales=torch.empty(count, 3),
        opacity_logits=torch.empty(count),
        sh=torch.empty(count, coefficients, 3),
    )
    means, quats, scales, logits, sh = (tensor.numpy() for tensor in scene.parameters().values())
    colours = [column for name, column in columns.items() if name.startswith("SH_")]

    def decode(rows: slice) -> None:
        with np.errstate(all="ignore"):  # What is not finite is dropped or bounded later.
            means[rows] = columns["POSITION"].decoded(rows)
            quats[rows] = columns["ROTATION"].decoded(rows)[:, [3, 0, 1, 2]]
            scales[rows] = np.log(columns["SCALE"].decoded(rows))
            opacities = columns["OPACITY"].decoded(rows)[:, 0].astype(np.float64).clip(0, 1)
            logits[rows] = np.log(opacities) - np.log1p(-opacities)
            for index, column in enumerate(colours):
                sh[rows, index] = column.decoded(rows)

    for_blocks(count, decode)
    return scene


def _placed(path: Path, scene: Gaussians, matrix: np.ndarray) -> Gaussians:
    """From the file's axes, through a node's transformation, to captures'."""
    if np.array_equal(matrix, np.eye(4)):
        return _turned(scene)
    similarity = np.diag([*TURN, 1.0]) @ matrix
    try:
        return scene.transform(torch.from_numpy(similarity))
    except ValueError as error:
        raise SplatError(f"{path}: a node stretches or mirrors its Gaussians, which Splat does not read") from error


def _turned(scene: Gaussians) -> Gaussians:
    """The scene after half a turn about z, changed in place."""
    scene.means.mul_(torch.tensor(TURN))
    scene.quats.copy_(scene.quats[:, [3, 2, 1, 0]] * torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    scene.sh.mul_(SH_TURN[: scene.sh.shape[1], None])
    return scene


#: What gives the rows of an attribute in a slice, with its name, component type, type and bytes a row.
_Encoder = tuple[str, int, str, int, Callable[[slice], Tensor]]


def _encoders(scene: Gaussians) -> list[_Encoder]:
    """What is written, in its order."""
    turn, first = torch.tensor(TURN), scene.sh[:, 0]

    def linear_colour(rows: slice) -> Tensor:
        rgb = (0.5 + SH_C0 * first[rows]).clamp(0, 1)
        linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return (torch.cat([linear, scene.opacity_logits[rows, None].sigmoid()], 1) * 255).round().to(torch.uint8)

    def xyzw(rows: slice) -> Tensor:
        w, x, y, z = scene.quats[rows].unbind(1)
        return torch.stack([-y, x, w, -z], 1)

    def coefficient(index: int) -> Callable[[slice], Tensor]:
        return lambda rows: scene.sh[rows, index] * SH_TURN[index]

    columns: list[_Encoder] = [
        ("POSITION", 5126, "VEC3", 12, lambda rows: scene.means[rows] * turn),
        ("COLOR_0", 5121, "VEC4", 4, linear_colour),
        (f"{NAME}:ROTATION", 5126, "VEC4", 16, xyzw),
        (f"{NAME}:SCALE", 5126, "VEC3", 12, lambda rows: scene.log_scales[rows].clamp(max=MAX_LOG_SCALE).exp()),
        (f"{NAME}:OPACITY", 5126, "SCALAR", 4, lambda rows: scene.opacity_logits[rows].double().sigmoid().float()),
    ]
    for degree in range(scene.sh_degree + 1):
        for n in range(2 * degree + 1):
            name = f"{NAME}:SH_DEGREE_{degree}_COEF_{n}"
            columns.append((name, 5126, "VEC3", 12, coefficient(degree * degree + n)))
    return columns


def _described(scene: Gaussians, columns: list[_Encoder]) -> tuple[bytes, list[int], int]:
    """The JSON, padded; where each column begins in the buffer; and the buffer's size."""
    count, offsets, size = len(scene), [], 0
    for _, _, _, row, _ in columns:
        offsets.append(size)
        size += row * count
    low, high = scene.means.min(0).values, scene.means.max(0).values
    # Half a turn swaps the ends of two axes.
    bounds = {"min": [-high[0], -high[1], low[2]], "max": [-low[0], -low[1], high[2]]}
    accessors = [
        {"bufferView": index, "componentType": component, "count": count, "type": kind}
        | ({"normalized": True} if component == 5121 else {})
        | ({name: [float(value) for value in ends] for name, ends in bounds.items()} if index == 0 else {})
        for index, (_, component, kind, _, _) in enumerate(columns)
    ]
    extension = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display", "projection": "perspective"}
    primitive = {
        "attributes": {name: index for index, (name, *_) in enumerate(columns)},
        "mode": 0,
        "extensions": {NAME: extension | {"sortingMethod": "cameraDistance"}},
    }
    document = {
        "asset": {"version": "2.0", "generator": "Splat"},
        "extensionsUsed": [NAME],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": [
            {"buffer": 0, "byteOffset": offset, "byteLength": row * count, "target": 34962}
            for offset, (_, _, _, row, _) in zip(offsets, columns, strict=True)
        ],
        "buffers": [{"byteLength": size}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // 4) * 4), offsets, size


def _write_columns(file: BinaryIO, start: int, count: int, columns: list[_Encoder], offsets: list[int]) -> None:
    """The buffer, block by block of Gaussians, so that each is read from memory once."""
    for begin in range(0, count, ROWS):
        rows = slice(begin, min(begin + ROWS, count))
        for (_, _, _, row, encode), offset in zip(columns, offsets, strict=True):
            file.seek(start + offset + row * begin)
            file.write(encode(rows).contiguous().numpy().data)
