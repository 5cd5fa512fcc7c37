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

from collections.abc import Callable
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
#: Steps of values that share 32 bits, and where the bits of each begin.
STEPS, SHIFTS = np.array([[2047], [1023], [2047]], np.float32), np.array([[21], [11], [0]], np.uint32)
COLOR_STEPS, COLOR_SHIFTS = np.full((4, 1), 255, np.float32), np.array([[24], [16], [8], [0]], np.uint32)
ROTATION_STEPS, ROTATION_SHIFTS = np.full((3, 1), 1023, np.float32), np.array([[20], [10], [0]], np.uint32)
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
    rest = rest_coefficients(path, sh.names) if sh is not None else 0
    if sh is not None and sh.count != count:
        raise _damaged(path, f"it has SH for {sh.count:,} of {count:,} Gaussians")
    limits_of, words_of = _reader(path, chunk, bounds, "f4"), _reader(path, vertex, PACKED, "u4")
    sh_of = _reader(path, sh, [f"f_rest_{i}" for i in range(3 * rest)], "u1") if sh is not None and rest else None
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
        limits = limits_of(slice(rows.start // CHUNK, -(-rows.stop // CHUNK))).T
        words = _by_component(words_of(rows))
        colors = _unpack(words[3], COLOR_STEPS, COLOR_SHIFTS)
        row = np.empty((rows.stop - rows.start, 3 * rest + 3), np.float32)
        # A file may say anything; what is not finite is dropped in the end.
        with np.errstate(all="ignore"):
            _place(_within(limits[:6], _unpack(words[0], STEPS, SHIFTS)), tables["means"][rows])
            _place(_within(limits[6:12], _unpack(words[2], STEPS, SHIFTS)), tables["log_scales"][rows])
            _place(-np.log(1 / colors[3:] - 1), tables["opacity_logits"][rows])
            rgb = _within(limits[12:], colors[:3]) if len(limits) == 18 else colors[:3]
            _place((rgb - np.float32(0.5)) / np.float32(SH_C0), row[:, :3])
        _place(_unpack_rotation(words[1]), tables["quats"][rows])
        if sh_of is not None:
            _unpack_sh(sh_of(rows), row[:, 3:])
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
            means, log_scales = _by_component(tables["means"][rows]), _by_component(tables["log_scales"][rows])
            colors = _by_component(row[:, :3]) * np.float32(SH_C0) + np.float32(0.5)
            opacities = _by_component(scene.opacity_logits[rows, None].sigmoid().numpy())
            log_scales = np.minimum(log_scales, MAX_LOG_SCALE)
            limits = [_limits(means), _limits(log_scales), _limits(colors)]
            words = np.empty((4, means.shape[1]), np.uint32)
            words[0] = _pack(_steps(limits[0], means, STEPS), SHIFTS)
            words[1] = _pack_rotation(_by_component(tables["quats"][rows]))
            words[2] = _pack(_steps(limits[1], log_scales, STEPS), SHIFTS)
            rgb = _steps(limits[2], colors, COLOR_STEPS[:3])
            words[3] = _pack(np.concatenate([rgb, opacities * COLOR_STEPS[3]]), COLOR_SHIFTS)
            packed = np.empty((len(row), 4), "<u4")
            _place(words, packed)
            with temporary.open("r+b") as file:
                file.seek(len(header) + rows.start // CHUNK * 18 * 4)
                file.write(np.concatenate(limits).T.astype("<f4").tobytes())
                file.seek(vertices_start + rows.start * 16)
                file.write(packed.data)
                if rest:
                    file.seek(sh_start + rows.start * rest)
                    file.write(_pack_sh(row[:, 3:]).data)

        for_blocks(count, pack)


def _by_component(values: np.ndarray) -> np.ndarray:
    """[numbers, rows] of rows of numbers, so that loops are long; the last row fills the last chunk."""
    count = len(values)
    columns = np.empty((values.shape[1], -(-count // CHUNK) * CHUNK), values.dtype)
    columns[:, :count] = values.T
    columns[:, count:] = values[-1:].T
    return columns


def _place(columns: np.ndarray, out: np.ndarray) -> None:
    """`_by_component`'s inverse."""
    out[:] = columns[:, : len(out)].T


def _limits(values: np.ndarray) -> np.ndarray:
    """[6, chunks] the least and the most of each component [3, rows] of each chunk."""
    chunks = values.reshape(3, -1, CHUNK)
    return np.concatenate([chunks.min(axis=2), chunks.max(axis=2)])


def _steps(limits: np.ndarray, values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """At which of their chunk's steps values [3, rows] are, not yet rounded."""
    low, high = limits[:3, :, None], limits[3:, :, None]
    chunks = values.reshape(3, -1, CHUNK)
    with np.errstate(over="ignore"):
        size = high - low
    if not np.isfinite(size).all():
        low, chunks, size = low.astype(np.float64), chunks.astype(np.float64), high.astype(np.float64) - low
    # Of sizes whose inverse float32 cannot hold, too, all is at the first step.
    tiny = size < 1e-30
    return np.where(tiny, 0, (chunks - low) * (steps[:, :, None] / np.where(tiny, 1, size))).reshape(3, -1)


def _within(limits: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The values [3, rows] that are so far, 0 to 1, from the least to the most of their chunk [6, chunks]."""
    low, high, chunks = limits[:3, :, None], limits[3:6, :, None], parts.reshape(3, -1, CHUNK)
    return (low * (1 - chunks) + high * chunks).reshape(3, -1)


def _pack(steps: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """[rows] uint32 of numbers [3 or 4, rows]."""
    return np.bitwise_or.reduce((steps + np.float32(0.5)).astype(np.uint32) << shifts, axis=0)


def _unpack(words: np.ndarray, steps: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """[3 or 4, rows] from 0 to 1."""
    return ((words >> shifts) & steps.astype(np.uint32)).astype(np.float32) / steps


def _pack_rotation(quats: np.ndarray) -> np.ndarray:
    """[rows] uint32 of unit quaternions [4, rows]."""
    w, x, y, z = quats
    sizes, most, largest = np.abs(quats), np.abs(w), np.zeros(len(w), np.uint32)
    for i in (1, 2, 3):
        larger = sizes[i] > most
        most, largest = np.where(larger, sizes[i], most), np.where(larger, np.uint32(i), largest)
    value = np.where(largest < 2, np.where(largest == 0, w, x), np.where(largest == 2, y, z))
    others = np.stack([np.where(largest == 0, x, w), np.where(largest < 2, y, x), np.where(largest < 3, z, y)])
    parts = others * np.copysign(np.float32(0.5**0.5), value) + np.float32(0.5)
    return _pack(parts.clip(0, 1) * ROTATION_STEPS, ROTATION_SHIFTS) | largest << np.uint32(30)


def _unpack_rotation(words: np.ndarray) -> np.ndarray:
    a, b, c = (_unpack(words, ROTATION_STEPS, ROTATION_SHIFTS) - np.float32(0.5)) * np.float32(2**0.5)
    value = np.sqrt((1 - (a * a + b * b + c * c)).clip(min=0))
    largest = words >> np.uint32(30)
    x = np.where(largest == 0, a, np.where(largest == 1, value, b))
    y = np.where(largest < 2, b, np.where(largest == 2, value, c))
    return np.stack([np.where(largest == 0, value, a), x, y, np.where(largest == 3, value, c)])


def _pack_sh(values: np.ndarray) -> np.ndarray:
    """uint8 of coefficients [rows, coefficients]."""
    steps = values.clip(-SH_RANGE, SH_RANGE)
    steps *= 128 / SH_RANGE
    steps += SH_OFFSETS[: len(values), : values.shape[1]]
    return np.minimum(steps, 255, out=steps).astype(np.uint8)


def _unpack_sh(packed: np.ndarray, out: np.ndarray) -> None:
    """The middle of each step; the first and the last are the ends of the range."""
    np.multiply(packed, np.float32(SH_RANGE / 128), out=out)
    out += np.float32((0.5 - 128) * SH_RANGE / 128)
    ends = (packed == 0) | (packed == 255)
    if ends.any():
        np.copyto(out, np.copysign(np.float32(SH_RANGE), out), where=ends)


def _reader(path: Path, element: Element, names: list[str], kind: str) -> Callable[[slice], np.ndarray]:
    """What gives rows [rows, names] of an element, whose numbers are of one kind alone."""
    if set(element.types) != {kind} or not set(names) <= set(element.names) or not element.start:
        raise _damaged(path, f"its {element.name!r} element has other properties than compressed PLYs have")
    columns, dtype = [element.names.index(name) for name in names], np.dtype(f"<{kind}")

    def rows_of(rows: slice) -> np.ndarray:
        table = read_rows(path, element.start, rows, dtype, len(element.names))
        return table if columns == [*range(len(element.names))] else table[:, columns]

    return rows_of


def _damaged(path: Path, why: str) -> SplatError:
    return SplatError(f"{path} is a damaged compressed PLY: {why}; get the file again")
