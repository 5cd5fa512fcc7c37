"""The header of a PLY file: what it claims about its elements, held against the size of the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splat.errors import SplatError

#: A degree-4 header takes 3 KB; beyond this it is not a PLY header.
MAX_HEADER_BYTES = 1 << 16

TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
TYPES |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
TYPES |= {"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"}


@dataclass
class Element:
    """What a header claims about one element.

    Attributes:
        types: of each property, as NumPy says it ("f4"), or "list".
        start: of a binary file's records in the file; 0 behind a list, where nobody knows.
    """

    name: str
    count: int
    types: list[str]
    names: list[str]
    start: int = 0

    @property
    def record(self) -> int:
        """Bytes of one record of a binary file; of a list its length at least."""
        return sum(1 if kind == "list" else np.dtype(kind).itemsize for kind in self.types)


@dataclass
class Header:
    encoding: str
    comments: list[str]
    elements: dict[str, Element]


def read_header(path: Path) -> Header:
    """Parses the header and checks that the file is long enough for what it claims.

    Raises:
        SplatError: it is no PLY file, its header is damaged, or it is cut short.
    """
    with path.open("rb") as file:
        beginning = file.read(MAX_HEADER_BYTES)
        total = file.seek(0, 2)
    end = re.search(rb"(?:^|\n|\r)end_header(\r\n|\r|\n)", beginning)
    if not beginning.startswith(b"ply") or end is None:
        raise SplatError(f"{path} is no PLY file: it has no header from 'ply' to 'end_header'; check what it is")
    header = Header("", [], {})
    element = None
    for line in re.split(r"\r\n|\r|\n", beginning[: end.start()].decode("latin-1")):
        words = line.split()
        if words[:1] == ["comment"]:
            header.comments.append(line.strip()[len("comment ") :])
        elif words[:1] == ["format"] and len(words) > 1:
            header.encoding = words[1]
        elif words[:1] == ["element"]:
            # Digits that are no ASCII, and more of them than any file has, are no count.
            if len(words) != 3 or not re.fullmatch("[0-9]{1,40}", words[2]) or words[1] in header.elements:
                raise _damaged(path, line)
            element = header.elements[words[1]] = Element(words[1], int(words[2]), [], [])
        elif words[:1] == ["property"]:
            if element is None or len(words) < 3 or words[1] not in (*TYPES, "list") or words[-1] in element.names:
                raise _damaged(path, line)
            element.types.append(TYPES.get(words[1], "list"))
            element.names.append(words[-1])
    text, start, known = header.encoding == "ascii", end.end(), True
    for element in header.elements.values():
        # In text, a number takes a digit and what separates it from the next; the file's last one may lack that.
        record = 2 * len(element.types) if text else element.record
        if element.count * max(record, 1) > total - start + text:
            raise SplatError(
                f"{path} claims {element.count:,} {element.name} records, which its {total:,} bytes cannot hold: "
                "it is cut short or its header is wrong; get the file again"
            )
        element.start = start if known else 0
        known &= "list" not in element.types
        start += element.count * record
    return header


def _damaged(path: Path, line: str) -> SplatError:
    return SplatError(f"{path} has a damaged PLY header: {' '.join(line.split())[:80]!r}; get the file again")
