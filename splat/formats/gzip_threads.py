"""gzip on several threads, as one member: browsers' DecompressionStream refuses files of several."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

#: Bytes that a thread compresses at a time, and how far back deflate may refer.
PIECE, WINDOW = 1 << 18, 1 << 15
#: Deflate, no name, no time (so that the same content gives the same file), from Unix.
HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"


@dataclass(frozen=True)
class Part:
    """Bytes that are compressed in one way.

    Attributes:
        content: what to compress.
        level: zlib's, 1 to 9.
        strategy: zlib's, such as Z_HUFFMAN_ONLY where nothing repeats.
    """

    content: memoryview
    level: int
    strategy: int = zlib.Z_DEFAULT_STRATEGY


def compressed(parts: Sequence[Part]) -> Iterator[bytes]:
    """One gzip file, piece by piece. Its bytes do not depend on the number of threads.

    Every piece ends on a byte and knows the last bytes before it, as pigz does it: the pieces after one another are one
    deflate stream.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        pieces = [(part, start) for part in parts for start in range(0, part.content.nbytes, PIECE)]
        deflated = threads.map(lambda piece: _deflated(*piece), pieces)
        yield HEADER
        yield from deflated
        check = size = 0
        for part in parts:
            check = zlib.crc32(part.content, check)
            size += part.content.nbytes
    # An empty last block, and the end that gzip wants.
    yield b"\x03\0" + struct.pack("<II", check, size & 0xFFFFFFFF)


def _deflated(part: Part, start: int) -> bytes:
    before = part.content[max(start - WINDOW, 0) : start]
    deflate = zlib.compressobj(part.level, zlib.DEFLATED, -zlib.MAX_WBITS, 9, part.strategy, before)
    return deflate.compress(part.content[start : start + PIECE]) + deflate.flush(zlib.Z_SYNC_FLUSH)
