"""SPZ, the compact format of Niantic's and Adobe's tools, versions 1 to 4.

Versions 1 to 3 are one gzip stream (version 2 is also met without gzip): a header of 16 bytes, then a column after the
other. Version 4 is a header of 32 bytes, extensions, a table of sizes and one zstd frame a column. The axes are RUB (x
right, y up, z back) unless a version-4 file says otherwise; those of captures are RDF, so that y, z and what depends on
their signs flip.

The writer is free in what it rounds to, which is where it saves. Rounding SH to 5 and 4 bits, as others do, costs
pictures a thousand times what all other columns' rounding costs together, and most of the bytes of those are spent on
Gaussians that hardly show. Here the step of each value but positions follows from how much of a picture its Gaussian
makes up. That is the fourth root of its weight instead of the square root at which squared errors would be least for
the entropy, since errors of neighbours go the same way and add up.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splat.errors import SplatError
from splat.files import atomic
from splat.formats.blocks import for_blocks
from splat.formats.clean import MAX_LOGIT, check_claim, in_order, repaired
from splat.formats.gzip_threads import Part, compressed
from splat.gaussians import Gaussians

MAGIC, GZIP_MAGIC = b"NGSP", b"\x1f\x8b"
#: magic, version, Gaussians, SH degree, bits of positions behind the point, flags; and what follows in version 4:
#: number of zstd frames and where the table of their sizes is.
HEADER, HEADER_4 = struct.Struct("<4sIIBBBx"), struct.Struct("<4sIIBBBBI12x")
ANTIALIASED, EXTENDED = 1, 2
#: The extension that says a file's axes, one of 16; 4 is RUB.
COORDINATES, RUB = 0xADBE0003, 4
#: The highest SH degree by version.
DEGREES = {1: 3, 2: 3, 3: 3, 4: 4}
#: What may follow a file's Gaussians, and rows that are read at a time.
MAX_TRAILER, READ_BLOCK = 1 << 20, 1 << 16
#: Colour's bytes per unit of the constant SH coefficient, and the greatest 24-bit coordinate.
COLOUR_STEPS, FARTHEST = 0.15 * 255, (1 << 23) - 1
#: What a byte of a scale can hold.
LOG_SCALES = (-10.0, 255 / 16 - 10)
#: Of a quaternion's smaller components, which are at most 1 / sqrt 2.
QUAT_STEPS = 511 * math.sqrt(2)
#: By which axes' signs SH coefficients change theirs, from the second on. The last is even in y, but the reference, and
#: so whatever is written in degree 4, has it odd.
SH_AXES = "y z x xy yz - xz - y xyz y z x z x xy yz xy yz - xz - xz y".split()

#: Positions are rounded to this part of the size that Gaussians have where one looks.
POSITION_STEPS = 64
#: Bits that positions may lack of that before the farthest of them are moved to the edge instead.
LACKING_BITS = 3
#: The share of positions that may be; where more are so far, all are coarser.
MOVED = 0.05
#: The exponents of 2 at which values are rounded: for a Gaussian of the weight that a tenth exceeds, the lowest and the
#: highest. A column's units are its bytes' but for quaternions, whose are the 511th parts of their range.
COARSENESS = {"plain": (0.0, 0, 3), "scales": (0.0, 0, 1), "quats": (1.0, 0, 5), "sh": (3.0, 1, 6)}
#: The power of the coarseness that is asked for with which each column's steps grow.
COARSENING = {"means": 1.0, "plain": 1.0, "scales": 0.5, "quats": 1.5, "sh": 0.25}
#: No step is larger than 2 to this: half the range of a byte.
HIGHEST = 7
#: Without SH there is no larger error behind which others could hide.
WITHOUT_SH = -2.5


@dataclass(frozen=True)
class _Header:
    """What a file says of itself."""

    version: int
    count: int
    degree: int
    fraction: int
    flags: int
    axes: int = RUB

    def columns(self) -> dict[str, int]:
        """Bytes a Gaussian of each column, in the file's order."""
        sizes = {"means": 9 if self.version > 1 else 6, "opacities": 1, "colours": 3, "scales": 3}
        sizes["quats"] = 4 if self.version > 2 else 3
        return sizes | ({"sh": 3 * ((self.degree + 1) ** 2 - 1)} if self.degree else {})

    @property
    def nbytes(self) -> int:
        """Of all columns."""
        return self.count * sum(self.columns().values())


def read(path: Path) -> Gaussians:
    """Reads an SPZ file; see `splat.formats.read`."""
    content = path.read_bytes()
    if content.startswith(MAGIC) and len(content) >= HEADER.size and content[4:8] >= struct.pack("<I", 4):
        frames = _Frames(path, content)
        header, take, finish = frames.header, frames.take, frames.finish
    elif content.startswith((MAGIC, GZIP_MAGIC)):
        stream = _Stream(path, content)
        header = _header(path, HEADER.unpack(stream.take(HEADER.size))[:6], len(content))
        take, finish = stream.take, stream.finish
    else:
        raise SplatError(f"{path} is no SPZ file: it begins neither with gzip's mark nor with NGSP; check what it is")
    scene = _decoded(header, take)
    finish()
    # Fixed point has no numbers that are not finite, but version 1 has floats.
    scene = repaired(path, scene) if header.version == 1 else scene
    return scene.transform(TURNED) if header.axes > 8 else scene


def _header(path: Path, values: tuple, size: int) -> _Header:
    magic, version, count, degree, fraction, flags = values
    if magic != MAGIC:
        raise SplatError(f"{path} is no SPZ file: its content does not begin with NGSP; check what it is")
    if version not in DEGREES:
        raise SplatError(
            f"{path} is SPZ of version {version}; versions 1 to {max(DEGREES)} are read here: update Splat"
        )
    if degree > DEGREES[version] or fraction > 24:
        raise SplatError(f"{path} has a damaged SPZ header (SH degree {degree}, {fraction} bits behind the point); "
                         "get the file again")  # fmt: skip
    check_claim(path, count, size)
    return _Header(version, count, degree, fraction, flags)


class _Stream:
    """The content of a file of version 1 to 3, one piece after another."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.position = path, content, 0
        self.inflate = zlib.decompressobj(16 + zlib.MAX_WBITS) if content.startswith(GZIP_MAGIC) else None

    def take(self, size: int) -> bytes:
        """The next bytes."""
        parts = []
        while size:
            part = self._some(size)
            if not part:
                raise SplatError(f"{self.path} ends within its Gaussians: it is cut short, get it again")
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> None:
        """Checks that what follows is no more than extensions take, and gzip's own check of the whole."""
        left = MAX_TRAILER
        while part := self._some(left + 1):
            left -= len(part)
            if left < 0:
                raise SplatError(f"{self.path} goes on behind its last Gaussian: its header is damaged, get it again")
        if self.inflate and not self.inflate.eof:
            raise SplatError(f"{self.path} lacks its last bytes: it is cut short, get it again")

    def _some(self, most: int) -> bytes:
        """Up to `most` of the next bytes, none at the end."""
        if self.inflate is None:
            return self._fed(most)
        part = b""
        while not part and not self.inflate.eof:
            fed = self.inflate.unconsumed_tail or self._fed(READ_BLOCK)
            try:
                part = self.inflate.decompress(fed, most)
            except zlib.error as error:
                raise SplatError(f"{self.path} is damaged gzip ({error}); get the file again") from error
            if not fed:
                break
        return part

    def _fed(self, most: int) -> bytes:
        part = self.content[self.position : self.position + most]
        self.position += len(part)
        return part


class _Frames:
    """The columns of a file of version 4."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content
        if len(content) < HEADER_4.size:
            raise SplatError(f"{path} is no SPZ file: it ends within its header; get it again")
        *values, frames, table = HEADER_4.unpack_from(content)
        header = _header(path, tuple(values), len(content))
        sizes = [width * header.count for width in header.columns().values() if header.count]
        start = table + 16 * frames
        if table < HEADER_4.size or start > len(content) or frames != len(sizes):
            raise SplatError(f"{path} has {frames} columns in a damaged table; get the file again")
        entries = [struct.unpack_from("<QQ", content, table + 16 * i) for i in range(frames)]
        fits = [promised for _, promised in entries] == sizes
        if not fits or start + sum(stored for stored, _ in entries) != len(content):
            raise SplatError(f"{path} claims {header.count:,} Gaussians, for which its columns have the wrong sizes: "
                             "it is cut short or damaged, get it again")  # fmt: skip
        self.header = replace(header, axes=_axes(path, content[HEADER_4.size : table]) if values[5] & EXTENDED else RUB)
        self.left = memoryview(content)[start:]
        self.entries, self.column = iter(entries), memoryview(b"")

    def take(self, size: int) -> memoryview:
        """The next bytes, of one column."""
        if not len(self.column):
            self.column = memoryview(self._frame(*next(self.entries)))
        part, self.column = self.column[:size], self.column[size:]
        return part

    def finish(self) -> None:
        """The sizes have been checked."""

    def _frame(self, stored: int, size: int) -> bytes:
        import zstandard

        frame, self.left = self.left[:stored], self.left[stored:]
        damaged = SplatError(f"{self.path} has a damaged column; get the file again")
        try:
            # What the frame itself says is allocated at once.
            if zstandard.frame_content_size(frame) not in (size, -1):
                raise damaged
            column = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
        except (zstandard.ZstdError, MemoryError) as error:
            raise damaged from error
        if len(column) != size:
            raise damaged
        return column


def _axes(path: Path, extensions: bytes) -> int:
    """Which axes the extensions say, RUB where they do not."""
    while len(extensions) >= 8:
        kind, size = struct.unpack_from("<II", extensions)
        payload, extensions = extensions[8 : 8 + size], extensions[8 + size :]
        if kind == COORDINATES and size == 4:
            axes = struct.unpack("<I", payload)[0] if len(payload) == 4 else -1
            if axes not in range(17):
                raise SplatError(f"{path} has axes of an unknown kind; get the file again, or update Splat")
            return axes or RUB
    return RUB


def _signs(axes: int) -> dict[str, float]:
    """By which factors x, y and z become right, down and forward; from the ninth on, right, back and down."""
    right, up, forward = (bool((axes - 1) >> bit & 1) for bit in range(3))
    positive = (right, not up, forward) if axes <= 8 else (right, not forward, not up)
    return {axis: 1.0 if plus else -1.0 for axis, plus in zip("xyz", positive, strict=True)}


#: From right, back, down to right, down, forward.
TURNED = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def _flips(axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The factors of positions [3], of quaternions' x, y, z [3] and of SH coefficients from the second on [24]."""
    signs = _signs(axes)
    x, y, z = signs.values()
    sh = [math.prod(signs[axis] for axis in axes_of if axis != "-") for axes_of in SH_AXES]
    positions, quats, sh = (np.array(flips, np.float32) for flips in ([x, y, z], [y * z, x * z, x * y], sh))
    return positions, quats, sh


def _decoded(header: _Header, take: Callable[[int], bytes | memoryview]) -> Gaussians:
    """All columns as a scene, its rows read on one thread and understood on others."""
    position_signs, quat_signs, sh_signs = (torch.from_numpy(flip) for flip in _flips(header.axes))
    sh_factors = sh_signs[: (header.degree + 1) ** 2 - 1].repeat_interleave(3) / 128
    sh_offsets = -128 * sh_factors
    bytes_of = torch.arange(256, dtype=torch.float32)
    logits = torch.logit(bytes_of.double() / 255).clamp(-MAX_LOGIT, MAX_LOGIT).float()
    colours, log_scales = (bytes_of / 255 - 0.5) / 0.15, bytes_of / 16 - 10

    # Memory that nothing has been written to takes no room yet.
    scene = Gaussians(
        torch.empty(header.count, 3),
        torch.empty(header.count, 4),
        torch.empty(header.count, 3),
        torch.empty(header.count),
        torch.empty(header.count, (header.degree + 1) ** 2, 3),
        antialias="antialiased" if header.flags & ANTIALIASED else "classic",
    )

    def looked_up(table: Tensor, block: np.ndarray) -> Tensor:
        return table[torch.from_numpy(block).int()]

    def blocks() -> Iterator[tuple[str, slice, np.ndarray]]:
        for name, width in header.columns().items():
            for start in range(0, header.count, READ_BLOCK):
                rows = slice(start, min(start + READ_BLOCK, header.count))
                yield (
                    name,
                    rows,
                    np.frombuffer(bytearray(take((rows.stop - start) * width)), np.uint8).reshape(-1, width),
                )

    for name, rows, block in _ahead(blocks()):
        if name == "means":
            steps = block.view(np.float16) if header.version == 1 else _from_24_bits(block)
            scale = position_signs * (1 if header.version == 1 else 2.0**-header.fraction)
            scene.means[rows] = torch.from_numpy(steps).float() * scale
        elif name == "opacities":
            scene.opacity_logits[rows] = looked_up(logits, block[:, 0])
        elif name == "colours":
            scene.sh[rows, 0] = looked_up(colours, block)
        elif name == "scales":
            scene.log_scales[rows] = looked_up(log_scales, block)
        elif name == "quats":
            xyzw = _smallest_three(block) if header.version > 2 else _first_three(block)
            scene.quats[rows, 0] = xyzw[:, 3]
            scene.quats[rows, 1:] = xyzw[:, :3] * quat_signs
        else:
            values = torch.from_numpy(block).float()
            torch.addcmul(sh_offsets, values, sh_factors, out=scene.sh.flatten(1)[rows, 3:])
    return scene


def _ahead(blocks: Iterator[tuple[str, slice, np.ndarray]]) -> Iterator[tuple[str, slice, np.ndarray]]:
    """The same, each made on a thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = thread.submit(next, blocks, None)
            yield block


def _from_24_bits(block: np.ndarray) -> np.ndarray:
    """[B, 3] int32 of [B, 9] bytes."""
    wide = np.zeros((len(block) * 3, 4), np.uint8)
    wide[:, 1:] = block.reshape(-1, 3)
    return (wide.view("<i4") >> 8).reshape(-1, 3)


def _first_three(block: np.ndarray) -> Tensor:
    """[B, 4] xyzw of x, y, z, where w is not negative."""
    xyz = torch.from_numpy(block).float() / 127.5 - 1
    return torch.cat([xyz, (1 - xyz.square().sum(1, keepdim=True)).clamp(min=0).sqrt()], 1)


def _smallest_three(block: np.ndarray) -> Tensor:
    """[B, 4] xyzw of three components in ten bits each, sign first, and the largest one's number."""
    packed_quats = torch.from_numpy(block.view("<i4")[:, 0])
    fields = torch.stack([packed_quats >> shift for shift in (20, 10, 0)], 1)
    smaller = (fields & 511) * torch.where((fields & 512) > 0, -1 / QUAT_STEPS, 1 / QUAT_STEPS)
    largest = packed_quats >> 30 & 3
    left = (1 - smaller.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
    return torch.cat([smaller, left], 1).gather(1, COMPONENTS[largest])


#: By the largest component's number: which of the three others, or 3 for itself, each component is.
COMPONENTS = torch.tensor([[3, 0, 1, 2], [0, 3, 1, 2], [0, 1, 3, 2], [0, 1, 2, 3]])


def write(
    gaussians: Gaussians, path: Path, importance: Tensor | None = None, coarseness: float = 1.0, version: int = 3
) -> None:
    """Writes an SPZ file; see `splat.formats.write`.

    Args:
        importance, coarseness: as there.
        version: 3, which every reader knows, or 4, which is a little smaller and holds SH of degree 4.

    Raises:
        ValueError: another version.
    """
    if version not in (3, 4):
        raise ValueError(f"version must be 3 or 4, not {version}")
    whole, order = in_order(gaussians, DEGREES[version])
    # Most of a scene is its SH, which are put in order as they are packed.
    scene = replace(whole, sh=whole.sh[:, :1]).select(order)
    weights = _looks(scene) if importance is None else importance.detach().to("cpu", torch.float32)[order]
    weights = weights.nan_to_num().clamp(min=0)
    fraction = _fraction(path, scene, POSITION_STEPS / coarseness ** COARSENING["means"])
    flags = 0 if scene.antialias == "classic" else ANTIALIASED
    header = _Header(version, len(scene), whole.sh_degree, fraction, flags)
    sh, places = whole.sh.numpy(), order.numpy()
    steps = _steps(header, weights, coarseness)
    columns, fast = _encoded(scene, lambda rows: sh[places[rows], 1:], header, steps), header.nbytes > THOROUGH
    values = (MAGIC, version, header.count, header.degree, fraction, flags)
    with atomic(path) as temporary, temporary.open("wb") as file:
        if version == 3:
            parts = [Part(memoryview(HEADER.pack(*values)), 1)]
            parts += [Part(columns[name].data.cast("B"), *DEFLATE[name][fast]) for name in columns if len(scene)]
            file.writelines(compressed(parts))
        else:
            frames = _zstd([column for column in columns.values() if len(scene)], ZSTD[fast])
            file.write(HEADER_4.pack(*values, len(frames), HEADER_4.size))
            sizes = zip(frames, columns.values(), strict=False)
            file.writelines(struct.pack("<QQ", len(frame), column.nbytes) for frame, column in sizes)
            file.writelines(frames)


#: Files of more bytes than this before compression are compressed in the fast way: at a million Gaussians it takes a
#: fifth of the time and gives 1 to 2 % more bytes.
THOROUGH = 8 << 20
#: zlib's level and strategy by column, thoroughly and fast. In some nothing repeats; in SH little but zeros does.
DEFLATE = {
    "means": ((6, zlib.Z_DEFAULT_STRATEGY), (1, zlib.Z_DEFAULT_STRATEGY)),
    "opacities": ((1, zlib.Z_HUFFMAN_ONLY),) * 2,
    "colours": ((1, zlib.Z_DEFAULT_STRATEGY),) * 2,
    "scales": ((1, zlib.Z_HUFFMAN_ONLY),) * 2,
    "quats": ((1, zlib.Z_HUFFMAN_ONLY),) * 2,
    "sh": ((9, zlib.Z_DEFAULT_STRATEGY), (1, zlib.Z_RLE)),
}
#: zstd's level, likewise.
ZSTD = (19, 6)


def _zstd(columns: list[np.ndarray], level: int) -> list[bytes]:
    """A frame of each column."""
    import zstandard

    # With any number of threads but 0, the frames are the same.
    def frame(column: np.ndarray) -> bytes:
        return zstandard.ZstdCompressor(level, threads=max(torch.get_num_threads(), 1)).compress(column.data)

    return [frame(column) for column in columns]


def _looks(scene: Gaussians) -> Tensor:
    """[N] about how much of an image a Gaussian makes up, as nobody said it."""
    return scene.opacities * scene.log_scales.clamp(*LOG_SCALES).topk(2, dim=1).values.sum(1).exp()


def _fraction(path: Path, scene: Gaussians, steps: float) -> int:
    """Bits of positions behind the point: `steps` in a typical size. Says when some positions are too far for them."""
    if not len(scene):
        return 12
    area = _looks(scene)
    size = area.clamp(max=_exceeded_by(area, 0.01)).double().sum() / scene.opacities.double().sum()
    wanted = round(math.log2(steps / float(size.sqrt())))
    farthest = scene.means.abs().amax(1)
    fitting, usual = (
        math.floor(math.log2(FARTHEST / max(distance, 1e-30)))
        for distance in (float(farthest.max()), _exceeded_by(farthest, MOVED))
    )
    fraction = min(max(wanted, 1), 23)
    if fitting >= fraction - LACKING_BITS:
        return max(min(fraction, fitting), 1)
    far = usual < fraction - LACKING_BITS
    fraction = max(min(fraction - LACKING_BITS, usual), 1)
    if far:
        warnings.warn(f"{path}: the scene is so far from the origin that SPZ rounds positions to {0.5**fraction:g}: "
                      "move it there, or choose another format", stacklevel=4)  # fmt: skip
    edge = FARTHEST / 2**fraction
    moved = int((farthest > edge).sum())
    if moved:
        warnings.warn(f"{path}: {moved:,} of {len(scene):,} Gaussians lie beyond +-{edge:,.0f}, where SPZ of this "
                      "precision ends, and were moved to its edge", stacklevel=4)  # fmt: skip
    return fraction


def _exceeded_by(values: Tensor, share: float) -> float:
    """The value that this share of them exceeds."""
    rank = min(int(len(values) * (1 - share)) + 1, len(values))
    return float(values.kthvalue(rank).values)


def _steps(header: _Header, weights: Tensor, coarseness: float) -> dict[str, np.ndarray]:
    """[N, 1] float32, by column, the multiples that values are rounded to."""
    if not len(weights):
        return {name: np.ones((0, 1), np.float32) for name in COARSENESS}
    usual = max(_exceeded_by(weights, 0.1), 1e-30)
    exponents = -0.25 * torch.log2((weights / usual).clamp(min=1e-12)) + (0 if header.degree else WITHOUT_SH)
    more = {name: power * math.log2(coarseness) for name, power in COARSENING.items()}
    steps = {
        name: torch.exp2((exponents + base + more[name]).round().clamp(low, min(high + round(more[name]), HIGHEST)))
        for name, (base, low, high) in COARSENESS.items()
    }
    return {name: step[:, None].numpy() for name, step in steps.items()}


def _encoded(
    scene: Gaussians, rest: Callable[[slice], np.ndarray], header: _Header, steps: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The columns' bytes [N, width], of what is rounded to [N, 1] `steps`.

    Args:
        rest: gives [B, K - 1, 3] the SH of rows beyond the constant ones, which are the scene's.
    """
    columns = {name: np.empty((len(scene), width), np.uint8) for name, width in header.columns().items()}
    position_signs, quat_signs, sh_signs = _flips(RUB)
    means, quats, log_scales, logits, sh = (tensor.numpy() for tensor in scene.parameters().values())
    sh_factors = np.repeat(sh_signs[: (header.degree + 1) ** 2 - 1], 3) * 128

    def rounded(values: np.ndarray, name: str, rows: slice, zero: int = 0) -> np.ndarray:
        """Bytes, as far from `zero` as a multiple of the row's step. Takes `values` for its work."""
        step = steps[name][rows]
        values /= step
        np.rint(values, out=values)
        values *= step
        values += zero
        return np.clip(values, 0, 255, out=values)

    def encode(rows: slice) -> None:
        places = np.rint(means[rows].astype(np.float64) * (position_signs * 2.0**header.fraction))
        places = np.clip(places, -FARTHEST - 1, FARTHEST).astype("<i4")
        columns["means"][rows] = places.view(np.uint8).reshape(-1, 3, 4)[:, :, :3].reshape(-1, 9)
        columns["opacities"][rows] = rounded(255 / (1 + np.exp(-logits[rows, None])), "plain", rows)
        columns["colours"][rows] = rounded(sh[rows, 0] * COLOUR_STEPS - 0.5, "plain", rows, 128)
        columns["scales"][rows] = rounded((log_scales[rows] + 10) * 16, "scales", rows)
        columns["quats"][rows] = _quat_bytes(quats[rows], quat_signs, steps["quats"][rows])
        if header.degree:
            columns["sh"][rows] = rounded(rest(rows).reshape(-1, len(sh_factors)) * sh_factors, "sh", rows, 128)

    for_blocks(len(scene), encode)
    return columns


def _quat_bytes(quats: np.ndarray, signs: np.ndarray, step: np.ndarray) -> np.ndarray:
    """[B, 4] bytes of unit quaternions wxyz, their smaller components rounded to multiples of `step`."""
    xyzw = np.concatenate([quats[:, 1:] * signs, quats[:, :1]], 1)
    magnitudes = np.abs(xyzw)
    largest = magnitudes.argmax(1)
    rows = np.arange(len(xyzw))
    negative = (xyzw < 0) != (xyzw[rows, largest] < 0)[:, None]
    steps = np.minimum(np.rint(magnitudes * (QUAT_STEPS / step)) * step, 511).astype(np.uint32)
    fields = steps | negative.astype(np.uint32) << 9
    others = fields[rows[:, None], OTHERS[largest]]
    word = largest.astype(np.uint32) << 30 | others[:, 0] << 20 | others[:, 1] << 10 | others[:, 2]
    return word.astype("<u4")[:, None].view(np.uint8)


#: The components that are not the largest one, by its number.
OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
