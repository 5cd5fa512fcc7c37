"""PLY in the layout of the original 3D Gaussian Splatting release, which every splat tool reads.

One `vertex` element of float32 properties: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_0.., opacity (logit),
scale_0..2 (natural log), rot_0..3 (wxyz). f_rest is channel-major: all coefficients of red, then green, then blue.
Reading goes by property name, so order, extra properties, byte order and text or binary do not matter. The filter that
the scene is meant for is a comment, as Brush ("SplatRenderMode: mip") and Postshot ("antialiased 1") write it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from splat.errors import SplatError
from splat.files import atomic
from splat.formats.blocks import for_blocks, read_rows
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOGIT, repaired
from splat.formats.ply_header import Element, Header, read_header
from splat.gaussians import Gaussians

T = TypeVar("T")

#: The properties of each tensor but SH; the third scale may be missing.
PROPERTIES = {"means": [*"xyz"], "opacity_logits": ["opacity"]}
PROPERTIES |= {"log_scales": ["scale_0", "scale_1", "scale_2"], "quats": ["rot_0", "rot_1", "rot_2", "rot_3"]}
#: The comments by which a file says its filter; "classic" needs none.
FILTERS = {"SplatRenderMode: mip": "mip", "antialiased 1": "antialiased"}


def read(path: Path) -> Gaussians:
    """Reads a splat PLY, plain or compressed; see `splat.formats.read`."""
    header = read_header(path)
    if "packed_position" in getattr(header.elements.get("vertex"), "names", ()):
        from splat.formats import compressed_ply

        return compressed_ply.read(path)
    vertex = _splat_vertex(path, header)
    count, rest = vertex.count, rest_coefficients(path, vertex.names)
    gaussians = Gaussians(
        means=torch.empty(count, 3),
        quats=torch.empty(count, 4),
        log_scales=torch.full((count, 3), FLAT_LOG_SCALE),
        opacity_logits=torch.empty(count),
        sh=torch.empty(count, rest + 1, 3),
        antialias=next((mode for comment, mode in FILTERS.items() if comment in header.comments), "classic"),
    )
    tables = as_tables(gaussians)
    places = []
    for name, properties in (PROPERTIES | {"sh": _sh_properties(rest)}).items():
        present = [vertex.names.index(item) for item in properties if item in vertex.names]
        places.append((tables[name][:, : len(present)], present))
    rows_of = _float_rows(path, header)

    def place(rows: slice) -> None:
        block = rows_of(rows)
        for table, columns in places:
            np.take(block, columns, axis=1, out=table[rows], mode="clip")

    for_blocks(count, place)
    return repaired(path, gaussians)


def write(gaussians: Gaussians, path: Path) -> None:
    """Writes a splat PLY; see `splat.formats.write`."""
    scene = gaussians.detach().to("cpu", torch.float32)
    tables, rest = as_tables(scene), scene.sh.shape[1] - 1
    names = [*"xyz", "nx", "ny", "nz", *channel_major(_sh_properties(rest))]
    names += [*PROPERTIES["opacity_logits"], *PROPERTIES["log_scales"], *PROPERTIES["quats"]]
    comments = [f"comment {comment}" for comment, mode in FILTERS.items() if mode == gaussians.antialias]
    lines = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {len(scene)}"]
    header = "\n".join([*lines, *(f"property float {name}" for name in names), "end_header", ""]).encode()
    # SH fills consecutive columns: its rows are put into order once and then copied whole.
    order = channel_major(range(3 * rest + 3))
    with atomic(path) as temporary:
        temporary.write_bytes(header)

        def put(rows: slice) -> None:
            block = np.zeros((rows.stop - rows.start, len(names)), "<f4")
            block[:, :3] = tables["means"][rows]
            block[:, 6:-8] = np.take(tables["sh"][rows], order, axis=1, mode="clip")
            logits = tables["opacity_logits"][rows]
            block[:, -8:-7] = np.where(np.isinf(logits), np.copysign(MAX_LOGIT, logits), logits)
            block[:, -7:-4] = tables["log_scales"][rows]
            block[:, -4:] = tables["quats"][rows]
            with temporary.open("r+b") as file:
                file.seek(len(header) + rows.start * block.strides[0])
                file.write(block.data)

        for_blocks(len(scene), put)


def read_point_cloud(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a plain point cloud, such as the one that nerfstudio puts beside transforms.json.

    Returns:
        [P, 3] float32 positions and [P, 3] uint8 colours; mid grey where the file has none.

    Raises:
        SplatError: the file is absent or damaged.
    """
    if not path.is_file():
        raise SplatError(f"{path} does not exist; check the path")
    read_header(path)
    vertices = _structured(path)
    present = set(vertices.dtype.names or ())
    if not {"x", "y", "z"} <= present:
        raise SplatError(f"{path} is no point cloud: its vertices lack x, y or z; export it again")
    positions = np.stack([np.asarray(vertices[name], np.float32) for name in "xyz"], axis=-1)
    colors = np.full(positions.shape, 128, np.uint8)
    for i, name in enumerate(("red", "green", "blue")):
        if name in present:
            colors[:, i] = vertices[name].astype(np.uint8)
    return positions, colors


def as_tables(gaussians: Gaussians) -> dict[str, np.ndarray]:
    """Each tensor as an array [N, numbers of a Gaussian] that shares its memory."""
    return {name: t.reshape(len(t), math.prod(t.shape[1:])).numpy() for name, t in gaussians.parameters().items()}


def channel_major(items: Sequence[T]) -> list[T]:
    """What belongs to the numbers of a row of SH [K, 3], in a PLY's order: f_dc, then f_rest of red, green and blue."""
    return [*items[:3], *(item for channel in range(3) for item in items[3 + channel :: 3])]


def rest_coefficients(path: Path, names: list[str]) -> int:
    """How many SH coefficients a channel has beyond the constant one: 0, 3, 8, 15 or 24.

    Raises:
        SplatError: the properties of an element are no such number.
    """
    count = sum(name.startswith("f_rest_") for name in names)
    if count not in (0, 9, 24, 45, 72) or any(f"f_rest_{i}" not in names for i in range(count)):
        raise SplatError(
            f"{path} has {count} f_rest properties; SH of degree 0 to 4 has 0, 9, 24, 45 or 72: export it again"
        )
    return count // 3


def _sh_properties(rest: int) -> list[str]:
    """The properties of a row of SH [1 + rest, 3]."""
    return [f"f_dc_{c}" for c in range(3)] + [f"f_rest_{c * rest + k}" for k in range(rest) for c in range(3)]


def _float_rows(path: Path, header: Header) -> Callable[[slice], np.ndarray]:
    """What gives rows of vertices as an array [rows, properties] of float32."""
    vertex = header.elements["vertex"]
    if header.encoding == "binary_little_endian" and set(vertex.types) == {"f4"} and vertex.start:
        return lambda rows: read_rows(path, vertex.start, rows, np.dtype("<f4"), len(vertex.names))
    vertices = _structured(path)

    def columns(rows: slice) -> np.ndarray:
        block = np.empty((rows.stop - rows.start, len(vertex.names)), np.float32)
        # A float64 may be more than float32 can hold: the infinity that becomes of it is dropped in the end.
        with np.errstate(over="ignore", invalid="ignore"):
            for i, name in enumerate(vertex.names):
                block[:, i] = vertices[name][rows]
        return block

    return columns


def _structured(path: Path) -> np.ndarray:
    """The vertex element of any dialect as a structured array, mapped where binary; the header has been checked."""
    from plyfile import PlyData, PlyParseError

    try:
        return np.asarray(PlyData.read(str(path), mmap="c")["vertex"].data)
    except (PlyParseError, ValueError, KeyError) as error:
        raise SplatError(f"{path} is a damaged PLY file: {error}; get it again from where it came") from error


def _splat_vertex(path: Path, header: Header) -> Element:
    """The vertex element; says what a PLY that is not a plain splat file is instead."""
    vertex = header.elements.get("vertex")
    if vertex is None:
        raise SplatError(f"{path} has no 'vertex' element, so it is no splat file; check what it is")
    if "list" in vertex.types:
        raise SplatError(f"{path} has lists as vertex properties, which no splat file has; check what it is")
    needed = [*_sh_properties(0), *(name for names in PROPERTIES.values() for name in names if name != "scale_2")]
    missing = [name for name in needed if name not in vertex.names]
    if missing:
        raise SplatError(
            f"{path} is a PLY but no splat scene: its vertices lack {', '.join(missing)}; "
            "give a file that a Gaussian-splatting tool wrote"
        )
    return vertex
