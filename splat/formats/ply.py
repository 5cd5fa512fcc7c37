"""PLY in the layout of the original 3D Gaussian Splatting release, which every splat tool reads.

One `vertex` element of float32 properties: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_0.., opacity (logit),
scale_0..2 (natural log), rot_0..3 (wxyz). f_rest is channel-major: all coefficients of red, then green, then blue.
Reading goes by property name, so order, extra properties, byte order and text or binary do not matter. The filter that
the scene is meant for is a comment, as Brush ("SplatRenderMode: mip") and Postshot ("antialiased 1") write it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splat.errors import SplatError
from splat.files import atomic
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOGIT, repaired
from splat.gaussians import Gaussians

#: A degree-4 header takes 3 KB; beyond this it is not a PLY header.
MAX_HEADER_BYTES = 1 << 16

#: Rows that are copied at a time: column by column, while the rows are in the processor's cache.
BLOCK = 4096

REQUIRED = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity")
REQUIRED += ("scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3")
#: The comments by which a file says its filter; "classic" needs none.
FILTERS = {"SplatRenderMode: mip": "mip", "antialiased 1": "antialiased"}
SIZES = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4, "double": 8}
SIZES |= {"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4, "float64": 8}


@dataclass
class _Element:
    """What a header claims about one element."""

    name: str
    count: int
    types: list[str]
    names: list[str]


def read(path: Path) -> Gaussians:
    """Reads a splat PLY; see `splat.formats.read`."""
    vertices, comments = _read_vertices(path, _check_splat)
    present = set(vertices.dtype.names or ())
    rest, count = _rest_coefficients(path, present), len(vertices)
    gaussians = Gaussians(
        means=torch.empty(count, 3),
        quats=torch.empty(count, 4),
        log_scales=torch.full((count, 3), FLAT_LOG_SCALE),
        opacity_logits=torch.empty(count),
        sh=torch.empty(count, rest + 1, 3),
        antialias=next((mode for comment, mode in FILTERS.items() if comment in comments), "classic"),
    )
    columns = [(name, view) for name, view in _columns(gaussians).items() if name in present]
    # A float64 column may hold more than float32 can: the infinity that becomes of it is dropped below.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, count, BLOCK):
            rows = slice(start, start + BLOCK)
            for name, view in columns:
                view[rows] = vertices[name][rows]
    return repaired(path, gaussians)


def write(gaussians: Gaussians, path: Path) -> None:
    """Writes a splat PLY; see `splat.formats.write`."""
    from plyfile import PlyData, PlyElement

    columns = _columns(gaussians.detach().to("cpu", torch.float32))
    names = [*"xyz", "nx", "ny", "nz", *(name for name in columns if name not in ("x", "y", "z"))]
    records = np.zeros(len(gaussians), [(name, "<f4") for name in names])
    for start in range(0, len(gaussians), BLOCK):
        rows = slice(start, start + BLOCK)
        for name, view in columns.items():
            records[name][rows] = view[rows]
    infinite = np.isinf(records["opacity"])
    records["opacity"][infinite] = np.copysign(MAX_LOGIT, records["opacity"][infinite])
    with atomic(path) as temporary:
        comments = [comment for comment, mode in FILTERS.items() if mode == gaussians.antialias]
        PlyData([PlyElement.describe(records, "vertex")], byte_order="<", comments=comments).write(str(temporary))


def _columns(gaussians: Gaussians) -> dict[str, np.ndarray]:
    """Every property but the normals, in the file's order, as a view [N] of the tensor that holds it."""
    means, quats, scales, logits, sh = (tensor.numpy() for tensor in gaussians.parameters().values())
    columns = {name: means[:, i] for i, name in enumerate("xyz")}
    columns |= {f"f_dc_{channel}": sh[:, 0, channel] for channel in range(3)}
    rest = sh.shape[1] - 1
    columns |= {f"f_rest_{c * rest + k}": sh[:, 1 + k, c] for c in range(3) for k in range(rest)}
    columns |= {"opacity": logits} | {f"scale_{i}": scales[:, i] for i in range(3)}
    return columns | {f"rot_{i}": quats[:, i] for i in range(4)}


def read_point_cloud(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a plain point cloud, such as the one that nerfstudio puts beside transforms.json.

    Returns:
        [P, 3] float32 positions and [P, 3] uint8 colours; mid grey where the file has none.

    Raises:
        SplatError: the file is absent or damaged.
    """
    vertices, _ = _read_vertices(path, lambda *_: None)
    present = set(vertices.dtype.names or ())
    if not {"x", "y", "z"} <= present:
        raise SplatError(f"{path} is no point cloud: its vertices lack x, y or z; export it again")
    positions = np.stack([np.asarray(vertices[name], np.float32) for name in "xyz"], axis=-1)
    colors = np.full(positions.shape, 128, np.uint8)
    for i, name in enumerate(("red", "green", "blue")):
        if name in present:
            colors[:, i] = vertices[name].astype(np.uint8)
    return positions, colors


def _read_vertices(path: Path, check: Any) -> tuple[np.ndarray, list[str]]:
    """The vertex element as a structured array, mapped where binary, and the file's comments. Nothing is allocated by
    what a header claims."""
    from plyfile import PlyData, PlyParseError

    if not path.is_file():
        raise SplatError(f"{path} does not exist; check the path")
    elements = _read_header(path)
    check(path, elements)
    try:
        file = PlyData.read(str(path), mmap="c")
        return np.asarray(file["vertex"].data), file.comments
    except (PlyParseError, ValueError, KeyError) as error:
        raise SplatError(f"{path} is a damaged PLY file: {error}; get it again from where it came") from error


def _read_header(path: Path) -> list[_Element]:
    """Parses the header and checks that the file is long enough for what it claims."""
    with path.open("rb") as file:
        start = file.read(MAX_HEADER_BYTES)
        total = file.seek(0, 2)
    end = re.search(rb"(?:^|\n|\r)end_header(\r\n|\r|\n)", start)
    if not start.startswith(b"ply") or end is None:
        raise SplatError(f"{path} is no PLY file: it has no header from 'ply' to 'end_header'; check what it is")
    lines = [line.split() for line in start[: end.start()].decode("latin-1").splitlines() if line.strip()]
    encoding = next((line[1] for line in lines if line[0] == "format" and len(line) > 1), "")
    elements: list[_Element] = []
    for line in lines:
        if line[0] == "element":
            if len(line) != 3 or not line[2].isdigit():
                raise SplatError(f"{path} has a damaged PLY header: '{' '.join(line)}'; get the file again")
            elements.append(_Element(line[1], int(line[2]), [], []))
        elif line[0] == "property":
            if not elements or len(line) < 3 or line[1] not in (*SIZES, "list"):
                raise SplatError(f"{path} has a damaged PLY header: '{' '.join(line)}'; get the file again")
            elements[-1].types.append(line[1])
            elements[-1].names.append(line[-1])
    left = total - end.end()
    for element in elements:
        # A list takes its length at least; in text, a number takes a digit and what separates it from the next one.
        sizes = [2 if encoding == "ascii" else SIZES.get(kind, 1) for kind in element.types]
        # The last number of a text file may lack its line end.
        if element.count * max(sum(sizes), 1) > left + (encoding == "ascii"):
            raise SplatError(
                f"{path} claims {element.count:,} {element.name} records, which its {total:,} bytes cannot hold: "
                "it is cut short or its header is wrong; get the file again"
            )
        left -= element.count * sum(sizes)
    return elements


def _check_splat(path: Path, elements: list[_Element]) -> None:
    """Says what a PLY that is not a plain splat file is instead."""
    by_name = {element.name: element for element in elements}
    vertex = by_name.get("vertex")
    if vertex is None:
        raise SplatError(f"{path} has no 'vertex' element, so it is no splat file; check what it is")
    if "packed_position" in vertex.names:
        raise SplatError(
            f"{path} is a compressed PLY (SuperSplat), which cannot be read yet; export it there as a plain PLY"
        )
    if "list" in vertex.types:
        raise SplatError(f"{path} has lists as vertex properties, which no splat file has; check what it is")
    missing = [name for name in REQUIRED if name not in vertex.names]
    if missing:
        raise SplatError(
            f"{path} is a PLY but no splat scene: its vertices lack {', '.join(missing)}; "
            "give a file that a Gaussian-splatting tool wrote"
        )


def _rest_coefficients(path: Path, present: set[str]) -> int:
    """How many SH coefficients a channel has beyond the constant one: 0, 3, 8, 15 or 24."""
    count = sum(name.startswith("f_rest_") for name in present)
    if count not in (0, 9, 24, 45, 72) or any(f"f_rest_{i}" not in present for i in range(count)):
        raise SplatError(
            f"{path} has {count} f_rest properties; SH of degree 0 to 4 has 0, 9, 24, 45 or 72: export it again"
        )
    return count // 3
