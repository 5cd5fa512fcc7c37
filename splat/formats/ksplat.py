""".ksplat, version 0.1, of the web viewer GaussianSplats3D: read, not written.

A header of 4096 bytes, one of 1024 for each section, then each section's lengths of its partly filled buckets, centres
of all buckets and records. A record has position, linear scale, rotation (wxyz), RGBA and SH: float32 at level 0;
uint16 around the bucket's centre, float16 and bytes at level 1; and SH as bytes at level 2. A band of SH stands channel
by channel.

Source: github.com/mkkellogg/GaussianSplats3D, src/loaders/SplatBuffer.js.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from splat.errors import SplatError
from splat.formats.blocks import for_blocks, read_rows
from splat.formats.clean import repaired
from splat.gaussians import SH_C0, Gaussians

HEADER_BYTES, SECTION_BYTES = 4096, 1024
MAX_SH_DEGREE = 2
#: By level: what a position, a scale or rotation, and an SH coefficient is.
KINDS = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))
#: What 0 stands for in the header.
SH_RANGE, STEPS = 1.5, 32767
CENTER_BYTES = 12


@dataclass
class _Section:
    """One run of records, by the section's header.

    Attributes:
        lengths: where the lengths of the partly filled buckets begin in the file; the centres follow.
        records: where the records begin.
        full, partial: how many buckets there are of `bucket_size` Gaussians, and of fewer.
        step: of a position around its bucket's centre, whose number is `middle`.
    """

    count: int
    degree: int
    lengths: int
    records: int
    full: int
    partial: int
    bucket_size: int
    step: float
    middle: int


def read(path: Path) -> Gaussians:
    """Reads a .ksplat; see `splat.formats.read`."""
    level, sh_range, sections = _read_headers(path)
    count, degree = sum(section.count for section in sections), max((s.degree for s in sections if s.count), default=0)
    gaussians = Gaussians(
        means=torch.empty(count, 3),
        quats=torch.empty(count, 4),
        log_scales=torch.empty(count, 3),
        opacity_logits=torch.empty(count),
        sh=torch.zeros(count, (degree + 1) ** 2, 3),
    )
    start = 0
    for section in sections:
        rows = slice(start, start + section.count)
        part = Gaussians.of({name: tensor[rows] for name, tensor in gaussians.parameters().items()})
        _read_section(path, section, level, sh_range, part)
        start = rows.stop
    return repaired(path, gaussians)


def _record(level: int, degree: int) -> np.dtype:
    position, scale, sh = KINDS[level]
    fields = [("position", position, 3), ("scale", scale, 3), ("rotation", scale, 4), ("rgba", "u1", 4)]
    return np.dtype([*fields, ("sh", sh, 3 * ((degree + 1) ** 2 - 1))])


def _read_section(path: Path, section: _Section, level: int, sh_range: tuple[float, float], part: Gaussians) -> None:
    """Fills `part`, the rows of one section."""
    record = _record(level, section.degree)
    ends, centers = _buckets(path, section) if level else (np.empty(0), np.empty((0, 3)))
    means, quats, log_scales, logits, sh = (tensor.numpy() for tensor in part.parameters().values())
    low, high = sh_range

    def unpack(rows: slice) -> None:
        table = read_rows(path, section.records, rows, np.dtype("u1"), record.itemsize).view(record)[:, 0]
        # A file may say anything; what is not finite is dropped in the end.
        with np.errstate(all="ignore"):
            means[rows] = table["position"]
            if level:
                bucket = np.searchsorted(ends, np.arange(rows.start, rows.stop), side="right")
                means[rows] = (means[rows] - section.middle) * np.float32(section.step) + centers[bucket]
            log_scales[rows] = np.log(table["scale"].astype(np.float32))
            quats[rows] = table["rotation"]
            rgba = table["rgba"] / np.float32(255)
            logits[rows] = -np.log(1 / rgba[:, 3] - 1)
            sh[rows, 0] = (rgba[:, :3] - 0.5) / SH_C0
            rest = table["sh"].astype(np.float32)
            if level == 2:
                rest = low + rest / 255 * (high - low)
            for band in range(1, section.degree + 1):
                first, end = band**2, (band + 1) ** 2
                values = rest[:, 3 * first - 3 : 3 * end - 3].reshape(-1, 3, end - first)
                sh[rows, first:end] = values.transpose(0, 2, 1)

    for_blocks(section.count, unpack)


def _buckets(path: Path, section: _Section) -> tuple[np.ndarray, np.ndarray]:
    """[buckets] the row behind each bucket's last one, and [buckets, 3] their centres."""
    lengths = read_rows(path, section.lengths, slice(0, section.partial), np.dtype("<u4"), 1)[:, 0]
    ends = np.concatenate([np.full(section.full, section.bucket_size), lengths]).astype(np.int64).cumsum()
    if section.count > ends[-1:].sum():
        raise _damaged(path, f"the buckets of a section do not hold its {section.count:,} Gaussians")
    centers = read_rows(path, section.lengths + 4 * section.partial, slice(0, len(ends)), np.dtype("<f4"), 3)
    return ends, centers


def _read_headers(path: Path) -> tuple[int, tuple[float, float], list[_Section]]:
    """The level, the range of SH at level 2, and the sections, all of which the file is long enough for."""
    with path.open("rb") as file:
        total = file.seek(0, 2)
        file.seek(0)
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise _damaged(path, f"its {total:,} bytes are fewer than a header has")
        major, minor, places, _, _, count, level, low, high = struct.unpack_from("<BB2xIIIIH14xff", header)
        if (major, minor) != (0, 1):
            raise SplatError(f"{path} is no .ksplat of version 0.1, which alone is known; check what it is")
        if level >= len(KINDS):
            raise _damaged(path, f"level {level} is none of 0 to {len(KINDS) - 1}")
        sections: list[_Section] = []
        end = HEADER_BYTES + SECTION_BYTES * places
        for _ in range(places if end <= total else 0):
            section, end = _section(path, file.read(SECTION_BYTES), level, end)
            sections.append(section)
    if end > total:
        raise _damaged(path, f"it claims {places:,} sections and {count:,} Gaussians, beyond its {total:,} bytes")
    if count != sum(section.count for section in sections):
        raise _damaged(path, f"its sections do not hold the {count:,} Gaussians that it claims")
    return level, (low or -SH_RANGE, high or SH_RANGE), sections


def _section(path: Path, header: bytes, level: int, start: int) -> tuple[_Section, int]:
    """A section that begins at a byte of the file, and where it ends."""
    numbers = struct.unpack_from("<IIIIfH2xIIIIH", header)
    count, places, bucket_size, buckets, block_size, bucket_bytes, middle, _, full, partial, degree = numbers
    if degree > MAX_SH_DEGREE:
        raise _damaged(path, f"SH of degree {degree} is none of 0 to {MAX_SH_DEGREE}")
    if count > places or level and (full + partial > buckets or bucket_bytes != CENTER_BYTES):
        raise _damaged(path, "a section has fewer places or buckets than are used")
    records = start + 4 * partial + bucket_bytes * buckets
    middle = middle or STEPS
    section = _Section(count, degree, start, records, full, partial, bucket_size, block_size / 2 / middle, middle)
    return section, records + _record(level, degree).itemsize * places


def _damaged(path: Path, why: str) -> SplatError:
    return SplatError(f"{path} is a damaged .ksplat: {why}; get the file again")
