"""Training checkpoints of other programs, as torch.save writes them: read, not written.

gsplat: {"splats": {means [N, 3], scales [N, 3] (natural log), quats [N, 4] (wxyz), opacities [N] (logits),
sh0 [N, 1, 3], shN [N, K, 3]}}, one file for each GPU, named ..._rank0.pt and so on. The original release: ((SH degree,
positions [N, 3], f_dc [N, 1, 3], f_rest [N, K, 3], log-scales, quaternions, opacity logits [N, 1], ...), iteration).

Of such a file, which is a zip with a pickle and the tensors' storages, only what makes the scene is looked at: nothing
that the pickle names is imported or called, and no tensor is read that is not needed.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from splat.errors import SplatError
from splat.formats.clean import repaired
from splat.formats.zip_directory import DirectoryFile
from splat.gaussians import Gaussians

#: gsplat's pickle takes 1 KB; every byte may make an object of 100.
MAX_PICKLE_BYTES = 1 << 18
STORAGES = {"FloatStorage": torch.float32, "DoubleStorage": torch.float64}
STORAGES |= {"HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16}
NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")
#: What shN is beside N, for degrees 0 to 4.
RESTS = tuple(((degree + 1) ** 2 - 1, 3) for degree in range(5))
#: Where those are in what the original release saves.
PLACES = (1, 5, 4, 6, 2, 3)


def read(path: Path) -> Gaussians:
    """Reads a checkpoint; with one of gsplat's rank 0 also the other ranks' beside it. See `splat.formats.read`."""
    parts = [_read_one(path)]
    if named := re.fullmatch(r"(.*_rank)0(\.pth?)", path.name):
        for rank in range(1, 1 << 16):
            other = path.with_name(f"{named[1]}{rank}{named[2]}")
            if not other.exists():
                break
            parts.append(_read_one(other))
            if parts[-1].sh_degree != parts[0].sh_degree:
                raise SplatError(f"{other} has SH of another degree than {path.name}: they are not of one run")
    return repaired(path, Gaussians.concat(parts) if len(parts) > 1 else parts[0])


def _read_one(path: Path) -> Gaussians:
    with _Archive(path) as archive:
        found = _find(path, archive.unpickled())
        count, rest = (found[0].sizes or (0,))[0], found[5].sizes[1:]
        shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, *rest)]
        # The original release has opacities [N, 1].
        got = [item.sizes[:1] if item.sizes == (count, 1) else item.sizes for item in found]
        if got != shapes or rest not in RESTS:
            raise SplatError(f"{path} holds tensors of shapes that make no scene; give a scene file of that run")
        # Tensors may lie over one another, which makes more of a file than it holds.
        if sum(item.bytes for item in found) > path.stat().st_size:
            archive.damaged()
        means, quats, log_scales, logits, dc, rest = (archive.tensor(item) for item in found)
    return Gaussians(means, quats, log_scales, logits.reshape(count), torch.cat([dc, rest], dim=1))


def _find(path: Path, state: Any) -> list[_Stored]:
    """The tensors that make the scene, in the order of NAMES."""
    if isinstance(state, _Mapping) and state.get("format") == "splat-checkpoint":
        raise SplatError(f"{path} is a checkpoint of a run of Splat, to resume from; give the run's scene.ply")
    splats = state.get("splats") if isinstance(state, _Mapping) else None
    found: list[Any] = []
    if isinstance(splats, _Mapping):
        found = [splats.get(name) for name in NAMES]
        if "features" in splats:
            raise SplatError(f"{path} has colours that only its run's network makes; train without app_opt to share it")
    elif isinstance(state, tuple) and state and isinstance(state[0], tuple) and len(state[0]) > max(PLACES):
        found = [state[0][place] for place in PLACES]
    if not found or not all(isinstance(item, _Stored) for item in found):
        raise SplatError(
            f"{path} is no checkpoint of gsplat or of the original release: it has no Gaussians where those have them; "
            "give a scene file of that run, such as a .ply"
        )
    return found


@dataclass(frozen=True)
class _Stored:
    """A tensor's place in a storage, in numbers of its dtype, as the pickle claims it."""

    dtype: torch.dtype
    storage: str
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.sizes) * self.dtype.itemsize


class _Archive:
    """The zip that torch.save writes: NAME/data.pkl and NAME/data/0, 1, ..., stored without compression."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = DirectoryFile(path)
        try:
            self.members = {info.filename: info for info in zipfile.ZipFile(self.file).infolist()}
        # What Python's reader raises on damaged zips is not documented.
        except Exception as error:
            self.file.close()
            if path.stat().st_size and _is_old(path):
                raise SplatError(f"{path} is of a torch before 1.6: load and save it again with a newer one") from error
            self.damaged(error)

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def damaged(self, error: Exception | None = None) -> NoReturn:
        raise SplatError(f"{self.path} is no whole file of torch.save: it may be cut short, get it again") from error

    def member(self, name: str, most: int | None = None) -> tuple[int, int]:
        """Where a member's bytes begin, and how many there are, which the file is long enough for."""
        suffix = f"/{name}"
        info = next((info for key, info in self.members.items() if key.endswith(suffix)), None)
        if info is None or info.compress_type != zipfile.ZIP_STORED or most is not None and info.file_size > most:
            self.damaged()
        # A name and an extra field follow the local header, and their lengths are there alone.
        header = self.bytes_at(info.header_offset, 30)
        start = (
            info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:], "little")
        )
        if header[:4] != b"PK\3\4" or start + info.file_size > self.file.seek(0, io.SEEK_END):
            self.damaged()
        return start, info.file_size

    def bytes_at(self, start: int, count: int) -> bytearray:
        """`count` bytes of the file, which is long enough."""
        content = bytearray(count)
        self.read_into(start, memoryview(content))
        return content

    def read_into(self, start: int, buffer: memoryview) -> None:
        if start < 0:
            self.damaged()
        self.file.seek(start)
        if self.file.readinto(buffer) != len(buffer):
            self.damaged()

    def unpickled(self) -> Any:
        content = self.bytes_at(*self.member("data.pkl", MAX_PICKLE_BYTES))
        if any(name.endswith("/byteorder") for name in self.members):
            if bytes(self.bytes_at(*self.member("byteorder", 16))) != b"little":
                raise SplatError(f"{self.path} was saved on a big-endian machine: load and save it again on another")
        try:
            return _Unpickler(io.BytesIO(content)).load()
        # A damaged pickle may ask for anything.
        except Exception as error:
            self.damaged(error)

    def tensor(self, stored: _Stored) -> Tensor:
        """float32, contiguous."""
        count = math.prod(stored.sizes)
        if not count:
            return torch.empty(stored.sizes)
        start, size = self.member(f"data/{stored.storage}")
        span = 1 + sum((n - 1) * stride for n, stride in zip(stored.sizes, stored.strides, strict=True))
        # No number twice, as in a tensor that torch has expanded; and none beyond the storage.
        if count > span or (stored.offset + span) * stored.dtype.itemsize > size:
            self.damaged()
        flat = torch.empty(span, dtype=stored.dtype)
        self.read_into(start + stored.offset * stored.dtype.itemsize, flat.view(torch.uint8).numpy().data)
        return flat.as_strided(stored.sizes, stored.strides).to(torch.float32).contiguous()


class _Mapping(dict):
    """A dict by names alone: other keys, such as a deep nest of tuples, can be more than Python looks up safely."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is str:
            super().__setitem__(key, value)

    def __setstate__(self, state: Any) -> None: ...


class _Other:
    """Stands for all that is no part of a scene, whatever is done with it."""

    def __new__(cls, *_: Any, **__: Any) -> _Other:
        return object.__new__(_Other)

    def __call__(self, *_: Any) -> _Other:
        return self

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def append(self, _: Any) -> None: ...

    def extend(self, _: Any) -> None: ...


class _Unpickler(pickle._Unpickler):
    """Makes plain values, `_Stored` for tensors and `_Other` for all else. (The one in C takes memory by claims.)"""

    dispatch = dict(pickle._Unpickler.dispatch)
    # These allocate what the file claims, or look for keys.
    for opcode in (pickle.BYTEARRAY8, pickle.DICT, pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS):
        del dispatch[opcode[0]]
    dispatch[pickle.EMPTY_DICT[0]] = lambda self: self.append(_Mapping())  # pyright: ignore[reportAttributeAccessIssue]

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {"_rebuild_tensor_v2": _stored, "_rebuild_parameter": lambda data, *_: data}
        if module == "torch._utils" and name in known:
            return known[name]
        return (lambda *_: _Mapping()) if (module, name) == ("collections", "OrderedDict") else _Other()

    def persistent_load(self, pid: Any) -> tuple[Any, Any]:
        _, dtype, key, *_ = pid
        return dtype, key


def _stored(storage: tuple[Any, Any], offset: Any, sizes: Any, strides: Any, *_: Any) -> _Stored | _Other:
    dtype, key = storage
    numbers = (offset, *sizes, *strides)
    if not isinstance(dtype, torch.dtype) or type(key) is not str:
        return _Other()
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in numbers) or len(sizes) != len(strides) or len(sizes) > 3:
        return _Other()
    return _Stored(dtype, key, offset, tuple(sizes), tuple(strides))


def _is_old(path: Path) -> bool:
    """Whether a file begins with the number by which torch before 1.6 marked its files."""
    with path.open("rb") as file:
        return file.read(16).startswith(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")
