"""glTF's container: JSON that names ranges of bytes, in one .glb or in a .gltf with files beside it.

Nothing in the JSON is believed: every range is checked against the bytes that are there.

Source:
    https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from splat.errors import SplatError

MAGIC, VERSION, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
#: JSON of a splat scene takes some kilobytes.
MAX_JSON_BYTES = 1 << 24
#: And some hundred values, each of which can take 100 bytes of memory.
MAX_JSON_VALUES = 1 << 19
#: Component types: NumPy's, and how many an element of each type has.
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True)
class Column:
    """What an accessor names.

    Attributes:
        values: [N, W] view of the file, of the component's type.
        normalized: whether integers stand for fractions of the largest.
    """

    values: np.ndarray
    normalized: bool

    def decoded(self, rows: slice) -> np.ndarray:
        """[rows, W] float32."""
        values = self.values[rows].astype(np.float32)
        if not self.normalized:
            return values
        values /= np.iinfo(self.values.dtype).max
        return np.maximum(values, -1, out=values)


class Document:
    """A glTF file: its JSON, and the bytes that it names."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            SplatError: it is no glTF 2.0 or damaged.
        """
        self.path = path
        self._buffers: dict[int, np.ndarray] = {}
        self._files: dict[str, np.ndarray] = {}
        content = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        words = np.frombuffer(content[: len(content) // 4 * 4][:20].tobytes(), "<u4")
        if len(words) and words[0] == MAGIC:
            text = self._glb(content, words)
        elif path.suffix.lower() == ".glb":
            raise SplatError(f"{path} is no binary glTF file: check what it is")
        else:
            text = content
        if len(text) > MAX_JSON_BYTES:
            raise SplatError(f"{path} has {len(text):,} bytes of JSON, which no splat scene has: check what it is")
        text = text.tobytes()
        if sum(map(text.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
            raise SplatError(f"{path} has more values in its JSON than any splat scene: check what it is")
        try:
            self.json = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SplatError(
                f"{path} is no glTF file, or a damaged one: its JSON cannot be read; get it again"
            ) from error
        asset = self.json.get("asset") if isinstance(self.json, dict) else None
        if not isinstance(asset, dict) or str(asset.get("version", "")).split(".")[0] != "2":
            raise SplatError(f"{path} is not of glTF 2.0, which is what Splat reads; export it anew")

    def damaged(self, why: str) -> SplatError:
        return SplatError(f"{self.path} is damaged: {why}; get it again from where it came")

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """The object of a top-level list that an index names."""
        items = self.json.get(kind)
        if type(index) is not int or not isinstance(items, list) or not 0 <= index < len(items):
            raise self.damaged(f"it has no {index!r} in its {kind}")
        if not isinstance(items[index], dict):
            raise self.damaged(f"{kind} {index} is no object")
        return items[index]

    def column(self, index: Any) -> Column:
        """What an accessor names.

        Raises:
            SplatError: it is more than there is, or of a kind that no splat scene has.
        """
        accessor = self.item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise SplatError(f"{self.path}: accessor {index} is sparse or compressed, which Splat does not read")
        component, kind = accessor.get("componentType"), accessor.get("type")
        if type(component) is not int or component not in COMPONENTS or not isinstance(kind, str) or kind not in WIDTHS:
            raise self.damaged(f"accessor {index} is of type {component!r} {kind!r}")
        dtype, width = np.dtype(COMPONENTS[component]), WIDTHS[kind]
        row = dtype.itemsize * width
        view = self.item("bufferViews", accessor["bufferView"])
        count, offset = self._natural(accessor, "count"), self._natural(accessor, "byteOffset", 0)
        stride, length = self._natural(view, "byteStride", row), self._natural(view, "byteLength")
        start = self._natural(view, "byteOffset", 0)
        buffer = self._buffer(view.get("buffer"))
        if stride < row or start + length > len(buffer) or not count or offset + (count - 1) * stride + row > length:
            raise self.damaged(f"accessor {index} names {count:,} elements, which are not there")
        values = np.ndarray((count, width), dtype, buffer, start + offset, (stride, dtype.itemsize))
        normalized = accessor.get("normalized") is True and dtype.kind != "f"
        return Column(values, normalized)

    @property
    def size(self) -> int:
        """Bytes in all buffers that columns came from; what goes by two names counts once."""
        return sum({id(buffer): len(buffer) for buffer in self._buffers.values()}.values())

    def _glb(self, content: np.ndarray, words: np.ndarray) -> np.ndarray:
        """The JSON of a binary file, whose second chunk is its first buffer."""
        if len(words) < 5 or words[1] != VERSION or words[2] > len(content) or words[4] != JSON_CHUNK:
            raise self.damaged(
                "its header does not fit its length" if len(words) > 1 and words[1] == VERSION else "it is no glTF 2.0"
            )
        end = 20 + int(words[3])
        if end > int(words[2]):
            raise self.damaged("its JSON is cut short")
        if end + 8 <= int(words[2]):
            length, kind = np.frombuffer(content[end : end + 8].tobytes(), "<u4").tolist()
            if kind == BIN_CHUNK:
                if end + 8 + length > len(content):
                    raise self.damaged("it is cut short")
                self._buffers[0] = content[end + 8 : end + 8 + length]
        return content[20:end]

    def _buffer(self, index: Any) -> np.ndarray:
        """The bytes of a buffer; of this file, of its JSON, or of a file in the same folder."""
        buffer = self.item("buffers", index)
        if index not in self._buffers:
            self._buffers[index] = self._fetched(buffer.get("uri"))
        return self._buffers[index]

    def _fetched(self, uri: Any) -> np.ndarray:
        if not isinstance(uri, str):
            raise self.damaged("a buffer is nowhere")
        if uri.startswith("data:"):
            try:
                return np.frombuffer(base64.b64decode(uri.partition(",")[2], validate=True), np.uint8)
            except (ValueError, binascii.Error) as error:
                raise self.damaged("a buffer in its text is no base64") from error
        name = unquote(uri)
        # Only a name beside it: a file may not make us read others.
        if not name or "/" in name or "\\" in name or ":" in name or name.startswith("."):
            raise SplatError(f"{self.path} wants the file {uri!r}, but Splat reads only files beside it: put it there")
        if name not in self._files:
            file = self.path.with_name(name)
            if not file.is_file() or not file.stat().st_size:
                raise SplatError(f"{self.path} needs {name} beside it, which is not there or empty: get both")
            self._files[name] = np.memmap(file, np.uint8, "r")
        return self._files[name]

    def _natural(self, values: dict[str, Any], name: str, default: int | None = None) -> int:
        value = values.get(name, default)
        if type(value) is not int or not 0 <= value < 1 << 48:
            raise self.damaged(f"{name} is {value!r}")
        return value
