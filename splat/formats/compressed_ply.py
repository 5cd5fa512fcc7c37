"""SuperSplat's compressed PLY: 16 bytes a Gaussian and one for each SH coefficient.

Gaussians stand in Morton's order in chunks of 256. Element `chunk` has 18 float32: the least and the most of x y z, of
the log-scales and of the colours 0.5 + SH_C0 f_dc (older files lack the colours' range, which then is 0 to 1). Element
`vertex` has 4 uint32: position and scale within the chunk's range (11, 10 and 11 bits), the rotation (2 bits: which of
w x y z is largest; 10 for each other), and the colour within the chunk's range with the opacity (8 bits each). Element
`sh` has f_rest_0.. as uint8, channel-major, in steps of 1/32 from -4 to 4.

Source: github.com/playcanvas/splat-transform, whose reader decodes what this writes. Differs: SH bands that are zero
throughout are left out, and zeros among others, which fall between two steps, take both in turn, so that neighbours
do not lean to the same side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from splat.errors import SplatError
from splat.files import atomic
from splat.formats.blocks import BLOCK, for_blocks, read_rows
from splat.formats.clean import packable, repaired
from splat.formats.ply import as_tables, channel_major, rest_coefficients
from splat.formats.ply_header import Element, read_header
from splat.gaussians import SH_C0, Gaussians

CHUNK = 256
MAX_LOG_SCALE = 20.0
BOUNDS = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
SCALE_BOUNDS = [f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"]
COLOR_BOUNDS = [f"{end}_{channel}" for end in ("min", "max") for channel in "rgb"]
PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
#: Steps of three values that share 32 bits, and where the bits of each begin.
STEPS, SHIFTS = np.array([2047, 1023, 2047], np.float32), np.array([21, 11, 0], np.uint32)
COLOR_STEPS, COLOR_SHIFTS = np.full(4, 255, np.float32), np.array([24, 16, 8, 0], np.uint32)
ROTATION_SHIFTS = np.array([20, 10, 0], np.uint32)
#: By the largest of a quaternion's four components: the three others, and where w x y z are in (largest, others).
OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
PLACES = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [1, 2, 0, 3], [1, 2, 3, 0]])
SH_RANGE = 4.0
#: What brings v * 32 to its step: 128, and for every other number of a block so little less that zero alone feels it.
_EVEN = (np.arange(BLOCK)[:, None] + np.arange(48)) % 2 == 0
SH_OFFSETS = np.where(_EVEN, 128, 128 - 2.0**-14).astype(np.float32)


def read(path: Path) -> Gaussians:
    """Reads a compressed PLY, or a plain one that is named so; see `splat.formats.read`."""
    header = read_header(path)
    vertex, chunk, sh = (header.elements.get(name) for name in ("vertex", "chunk", "sh"))
    if vertex is None or "packed_position" not in vertex.names:
        from splat.formats import ply

        return ply.read(path)
    count, bounds = vertex.count, BOUNDS + SCALE_BOUNDS
    if chunk is not None and COLOR_BOUNDS[0] in chunk.names:
        bounds = bounds + COLOR_BOUNDS
    if chunk is None or header.encoding != "binary_little_endian" or chunk.count != -(-count // CHUNK):
        raise _damaged(path, f"its {count:,} Gaussians lack their chunks of {CHUNK}, or it is not little-endian")
    chunk_columns, vertex_columns = _columns(path, chunk, bounds, "f4"), _columns(path, vertex, PACKED, "u4")
    rest = rest_coefficients(path, sh.names) if sh is not None else 0
    if sh is not None and sh.count != count:
        raise _damaged(path, f"it has SH for {sh.count:,} of {count:,} Gaussians")
    sh_columns = _columns(path, sh, [f"f_rest_{i}" for i in range(3 * rest)], "u1") if sh is not None else []
    gaussians = Gaussians(
        means=torch.empty(count, 3),
        quats=torch.empty(count, 4),
        log_scales=torch.empty(count, 3),
        opacity_logits=torch.empty(count),
        sh=torch.empty(count, rest + 1, 3),
    )
    tables = as_tables(gaussians)
    order = np.argsort(channel_major(range(3 * rest + 3)))

    def unpack(rows: slice) -> None:
        chunks = slice(rows.start // CHUNK, -(-rows.stop // CHUNK))
        limits = read_rows(path, chunk.start, chunks, np.dtype("<f4"), len(chunk.names))[:, chunk_columns]
        packed = read_rows(path, vertex.start, rows, np.dtype("<u4"), len(vertex.names))[:, vertex_columns]
        row = np.empty((len(packed), 3 * rest + 3), np.float32)
        colors = _unpack(packed[:, 3], COLOR_STEPS, COLOR_SHIFTS)
        # A file may say anything; what is not finite is dropped in the end.
        with np.errstate(all="ignore"):
            tables["means"][rows] = _within(limits[:, :6], _unpack(packed[:, 0], STEPS, SHIFTS))
            tables["log_scales"][rows] = _within(limits[:, 6:12], _unpack(packed[:, 2], STEPS, SHIFTS))
            tables["opacity_logits"][rows] = -np.log(1 / colors[:, 3:] - 1)
            row[:, :3] = _within(limits[:, 12:], colors[:, :3]) if len(bounds) == 18 else colors[:, :3]
        tables["quats"][rows] = _unpack_rotation(packed[:, 1])
        row[:, :3] = (row[:, :3] - 0.5) / SH_C0
        if sh is not None:
            _unpack_sh(read_rows(path, sh.start, rows, np.dtype("u1"), len(sh.names))[:, sh_columns], row[:, 3:])
        np.take(row, order, axis=1, out=tables["sh"][rows], mode="clip")

    for_blocks(count, unpack)
    return repaired(path, gaussians)


def write(gaussians: Gaussians, path: Path) -> None:
    """Writes a compressed PLY; see `splat.formats.write`."""
    scene = packable(gaussians, 3)
    while scene.sh_degree and not scene.sh[:, scene.sh_degree**2 :].any():
        scene = scene.with_sh_degree(scene.sh_degree - 1)
    tables, count, rest = as_tables(scene), len(scene), 3 * (scene.sh.shape[1] - 1)
    order = channel_major(range(rest + 3))
    elements = {"chunk": ("float", BOUNDS + SCALE_BOUNDS + COLOR_BOUNDS, -(-count // CHUNK))}
    elements |= {"vertex": ("uint", PACKED, count)}
    if rest:
        elements["sh"] = ("uchar", [f"f_rest_{i}" for i in range(rest)], count)
    lines = ["ply", "format binary_little_endian 1.0"]
    for name, (kind, names, number) in elements.items():
        lines += [f"element {name} {number}", *(f"property {kind} {item}" for item in names)]
    header = "\n".join([*lines, "end_header", ""]).encode()
    vertices_start = len(header) + elements["chunk"][2] * 18 * 4
    sh_start = vertices_start + count * 16
    with atomic(path) as temporary:
        temporary.write_bytes(header)

        def pack(rows: slice) -> None:
            row = np.take(tables["sh"][rows], order, axis=1, mode="clip")
            means, log_scales = tables["means"][rows], tables["log_scales"][rows].clip(max=MAX_LOG_SCALE)
            colors, opacities = row[:, :3] * SH_C0 + 0.5, scene.opacity_logits[rows].sigmoid().numpy()
            limits = [_limits(means), _limits(log_scales), _limits(colors)]
            packed = np.empty((len(row), 4), "<u4")
            packed[:, 0] = _pack(_part(limits[0], means), STEPS, SHIFTS)
            packed[:, 1] = _pack_rotation(tables["quats"][rows])
            packed[:, 2] = _pack(_part(limits[1], log_scales), STEPS, SHIFTS)
            parts = np.concatenate([_part(limits[2], colors), opacities[:, None]], axis=1)
            packed[:, 3] = _pack(parts, COLOR_STEPS, COLOR_SHIFTS)
            with temporary.open("r+b") as file:
                file.seek(len(header) + rows.start // CHUNK * 18 * 4)
                file.write(np.concatenate(limits, axis=1).astype("<f4").data)
                file.seek(vertices_start + rows.start * 16)
                file.write(packed.data)
                if rest:
                    file.seek(sh_start + rows.start * rest)
                    file.write(_pack_sh(row[:, 3:]).data)

        for_blocks(count, pack)


def _limits(values: np.ndarray) -> np.ndarray:
    """[chunks, 6] the least and the most of each column [rows, 3] of each chunk."""
    starts = np.arange(0, len(values), CHUNK)
    return np.concatenate([np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)], axis=1)


def _by_row(limits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Each chunk's least and most [rows, 3], for each row."""
    rows = np.repeat(limits, CHUNK, axis=0)[:count]
    return rows[:, :3], rows[:, 3:6]


def _part(limits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where values [rows, 3] are between their chunk's limits, 0 to 1."""
    low, high = _by_row(limits, len(values))
    with np.errstate(over="ignore", invalid="ignore"):
        size = high - low
        if not np.isfinite(size).all():
            low, high, values = low.astype(np.float64), high.astype(np.float64), values.astype(np.float64)
            size = high - low
    return ((values - low) / np.where(size > 0, size, 1)).astype(np.float32)


def _within(limits: np.ndarray, parts: np.ndarray) -> np.ndarray:
    low, high = _by_row(limits, len(parts))
    return low * (1 - parts) + high * parts


def _pack(parts: np.ndarray, steps: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """[rows] uint32 of numbers [rows, 3 or 4] from 0 to 1."""
    whole = (parts * steps + np.float32(0.5)).clip(0, steps).astype(np.uint32) << shifts
    return np.bitwise_or.reduce(whole, axis=1)


def _unpack(packed: np.ndarray, steps: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    return ((packed[:, None] >> shifts) & steps.astype(np.uint32)).astype(np.float32) / steps


def _pack_rotation(quats: np.ndarray) -> np.ndarray:
    """[rows] uint32 of unit quaternions [rows, 4]."""
    largest = np.abs(quats).argmax(axis=1)
    sign = np.copysign(np.float32(0.5**0.5), np.take_along_axis(quats, largest[:, None], axis=1))
    others = np.take_along_axis(quats, OTHERS[largest], axis=1) * sign + np.float32(0.5)
    return _pack(others, np.full(3, 1023, np.float32), ROTATION_SHIFTS) | largest.astype(np.uint32) << np.uint32(30)


def _unpack_rotation(packed: np.ndarray) -> np.ndarray:
    components = np.empty((len(packed), 4), np.float32)
    components[:, 1:] = (_unpack(packed, np.full(3, 1023, np.float32), ROTATION_SHIFTS) - 0.5) * np.float32(2**0.5)
    components[:, 0] = np.sqrt((1 - np.square(components[:, 1:]).sum(axis=1)).clip(min=0))
    return np.take_along_axis(components, PLACES[packed >> 30], axis=1)


def _pack_sh(values: np.ndarray) -> np.ndarray:
    """uint8 of coefficients [rows, coefficients]."""
    steps = values.clip(-SH_RANGE, SH_RANGE)
    steps *= 128 / SH_RANGE
    steps += SH_OFFSETS[: len(values), : values.shape[1]]
    return np.minimum(steps, 255, out=steps).astype(np.uint8)


def _unpack_sh(packed: np.ndarray, out: np.ndarray) -> None:
    """The middle of each step; the first and the last are the ends of the range."""
    out[:] = packed
    out += np.float32(0.5 - 128)
    out *= np.float32(SH_RANGE / 128)
    ends = (packed == 0) | (packed == 255)
    if ends.any():
        np.copyto(out, np.copysign(np.float32(SH_RANGE), out), where=ends)


def _columns(path: Path, element: Element, names: list[str], kind: str) -> list[int]:
    """Where properties stand in an element that has numbers of one kind alone."""
    if set(element.types) != {kind} or not set(names) <= set(element.names) or not element.start:
        raise _damaged(path, f"its {element.name!r} element has other properties than compressed PLYs have")
    return [element.names.index(name) for name in names]


def _damaged(path: Path, why: str) -> SplatError:
    return SplatError(f"{path} is a damaged compressed PLY: {why}; get the file again")
