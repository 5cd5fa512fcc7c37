"""SOG, PlayCanvas' "Spatially Ordered Gaussians": a handful of lossless WebP pictures and a meta.json.

A `.sog` is a zip of them; a folder of the same files goes by its meta.json. Texel i, row by row, of every picture is
Gaussian i, in any order; writers take one in which neighbours are alike. Version 2, which is written here:

    means_l means_u  low and high bytes of 16-bit x y z between mins and maxs, in sign(x) ln(1 + |x|)
    scales           RGB: entries of a codebook of 256 log-scales
    quats            RGB: the three smaller components times sqrt 2, of wxyz; A: 252 + the index of the largest
    sh0              RGB: entries of a codebook of 256; A: opacity
    shN_centroids    palette of SH coefficients, 64 entries a row, one texel a coefficient; RGB: entries of a codebook
    shN_labels       which entry of the palette, R + 256 G

Version 1 has no "version", and ranges in place of codebooks. Readers round nothing, so the writer rounds to what they
will make of it.

Source:
    https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splat.errors import SplatError
from splat.files import atomic
from splat.formats import codebook
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOG_SCALE, check_claim, packed, repaired
from splat.formats.zip_directory import DirectoryFile
from splat.gaussians import Gaussians, quaternion_product

#: Three codebooks and the file names take 20 KB.
MAX_META_BYTES = 1 << 20
#: Texels of a picture beyond what the count needs: writers round its sides up.
SPARE_TEXELS = 1 << 16
#: The longest side of a WebP.
MAX_SIDE = 16383
#: Entries of a palette in a row of its picture, and how many a label can name.
PALETTE_ROW = 64
MAX_PALETTE = 1 << 16
#: Number of bands by that of coefficients a channel beyond the constant one.
BANDS = {3: 1, 8: 2, 15: 3}
#: Rows that are handled at a time where a whole copy would be large.
BLOCK = 1 << 16
#: The steps in which each kind of number is written, so that all kinds of error show alike in images: positions in
#: standard deviations, log-scales, colours and SH coefficients in their own units, quaternions and opacities in bytes.
MEAN_STEP, SCALE_STEP, COLOR_STEP, SH_STEP, BYTE_STEP = 0.03, 0.055, 0.035, 0.014, 2
#: Where the palette cannot hold all, the error of an SH coefficient at which its own and all others' begin to be of one
#: size: from there on all steps grow with it, up to so much.
SH_ERROR, MAX_COARSENESS = 0.0117, 3.0
#: SH steps grow with this power of the coarseness that is asked for; from so much of it on, so many Gaussians share an
#: entry of the palette, which is better than to round still more.
SH_COARSENING, SHARED = 0.5, 3.0
#: Alpha of a quaternion whose w is the largest component.
FIRST_TAG = 252
#: Which of (the largest, the others in order) is w, x, y, z, by the largest one's index.
ORDER = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [1, 2, 0, 3], [1, 2, 3, 0]])


def _cube() -> Tensor:
    """[24, 4] the quaternions that turn a cube into itself."""
    signs = torch.tensor([[1.0, a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    pairs = [torch.eye(4)[i] + sign * torch.eye(4)[j] for i in range(4) for j in range(i) for sign in (-1, 1)]
    return torch.nn.functional.normalize(torch.cat([torch.eye(4), signs, torch.stack(pairs)]), dim=-1)


CUBE = _cube()
CONJUGATES = CUBE * torch.tensor([1, -1, -1, -1])
#: [24, 3] the axis that each of them puts where x, y and z were.
AXES = torch.stack(
    [
        quaternion_product(quaternion_product(CUBE, torch.eye(4)[1 + i]), CONJUGATES)[:, 1:].abs().argmax(1)
        for i in range(3)
    ],
    1,
)


def read(path: Path) -> Gaussians:
    """Reads a SOG file or, by its meta.json, a folder; see `splat.formats.read`."""
    with _members(path) as member:
        meta = _Meta(path, member("meta.json"))
        if meta.version not in (1, 2):
            raise SplatError(f"{path} is SOG of version {meta.version!r}; only 1 and 2 are known here: update Splat")
        texels = _pictures(path, meta, member)
    # Pillow and NumPy work without Python's lock.
    with ThreadPoolExecutor() as threads:
        jobs = [threads.submit(job, meta, texels) for job in (_looks, _means, _quats, _log_scales)]
        (logits, sh), means, quats, log_scales = (job.result() for job in jobs)
    antialiased = meta.get("model") == "antialiased" or meta.get("antialias") is True
    scene = (torch.from_numpy(array) for array in (means, quats, log_scales, logits, sh))
    return repaired(path, Gaussians(*scene, antialias="antialiased" if antialiased else "classic"))


def write(gaussians: Gaussians, path: Path, importance: Tensor | None = None, coarseness: float = 1.0) -> None:
    """Writes a SOG file or, by its meta.json, a folder, of version 2; see `splat.formats.write`."""
    scene, order = packed(gaussians, 3)
    if importance is None:
        # What it covers at most.
        share = scene.opacities * scene.log_scales.topk(2, dim=1).values.sum(1).exp()
    else:
        share = importance.detach().to("cpu", torch.float32)[order]
    # Between squared errors, which what is large decides, and what somebody sees who comes close.
    weights = (share.nan_to_num().clamp(min=0) * scene.opacities).sqrt()
    meta: dict[str, Any] = {"version": 2, "asset": {"generator": "Splat"}, "count": len(scene)}
    if scene.antialias != "classic":
        # The one is what PlayCanvas' converter writes, the other what its format's page says.
        meta |= {"model": "antialiased", "antialias": True}
    pictures = {}
    for name, values, texels in _columns(scene, weights, coarseness):
        files = [f"{name}{end}.webp" for end in texels]
        meta[name] = values | {"files": files}
        pictures |= dict(zip(files, texels.values(), strict=True))
    # libwebp works without Python's lock.
    with ThreadPoolExecutor() as threads:
        contents = dict(zip(pictures, threads.map(_webp, pictures.values()), strict=True))
    contents["meta.json"] = json.dumps(meta, separators=(",", ":")).encode()
    if path.name.lower().endswith(".json"):
        with ExitStack() as stack:
            # What was opened first takes its place last, after the pictures that it needs.
            for name in reversed(contents):
                target = path if name == "meta.json" else path.parent / name
                stack.enter_context(atomic(target)).write_bytes(contents[name])
    else:
        with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, content in contents.items():
                archive.writestr(zipfile.ZipInfo(name), content)


def _columns(
    scene: Gaussians, weights: Tensor, coarseness: float
) -> Iterator[tuple[str, dict[str, Any], dict[str, Tensor]]]:
    """Every entry of meta.json with its pictures [H, W, 4] by how their names go on."""
    if scene.sh_degree and len(scene):
        entries, labels, least = _sh_palette(scene, weights, coarseness)
        coefficients = scene.sh.shape[1] - 1
        book, codes = codebook.even(entries, SH_STEP * max(coarseness**SH_COARSENING, least))
        coarseness = max(coarseness, least)
        texels = torch.zeros(-(-len(entries) // PALETTE_ROW) * PALETTE_ROW * coefficients, 4, dtype=torch.uint8)
        texels[:, 3] = 255
        texels[: len(entries) * coefficients, :3] = codes.view(-1, 3)
        values = {"count": len(entries), "bands": scene.sh_degree, "codebook": _short(book)}
        pictures = {"_centroids": texels.view(-1, PALETTE_ROW * coefficients, 4)}
        yield "shN", values, pictures | {"_labels": _texture(labels[:, None] & 0xFF, labels[:, None] >> 8)}
    steps, ends = _log_means(scene, MEAN_STEP * coarseness)
    yield "means", ends, {"_l": _texture(steps & 0xFF), "_u": _texture(steps >> 8)}
    quats, log_scales = _nearest_identity(scene.quats, scene.log_scales)
    yield "quats", {}, {"": _texture(_quat_bytes(quats, round(BYTE_STEP * coarseness)))}
    book, codes = codebook.even(log_scales, SCALE_STEP * coarseness)
    yield "scales", {"codebook": _short(book)}, {"": _texture(codes)}
    book, codes = codebook.even(scene.sh[:, 0], COLOR_STEP * coarseness)
    opacities = _stepped(scene.opacities * 255, 0, round(BYTE_STEP * coarseness))
    yield "sh0", {"codebook": _short(book)}, {"": _texture(codes, opacities[:, None])}


def _sh_palette(scene: Gaussians, weights: Tensor, coarseness: float) -> tuple[Tensor, Tensor, float]:
    """[P, 3 K] entries, [N] labels, and how much coarser all steps may be than where each Gaussian has its entry."""
    # A view: a copy would be as large as the scene.
    rest = scene.sh.flatten(1)[:, 3:]
    size = min(MAX_PALETTE, math.ceil(len(rest) / coarseness) if coarseness >= SHARED else len(rest))
    if len(rest) <= size:
        return rest, torch.arange(len(rest)), 1.0
    entries, labels = codebook.palette(rest, weights, size)
    blocks = zip(rest.split(BLOCK), labels.split(BLOCK), weights.split(BLOCK), strict=True)
    error = sum(float((part - entries[chosen]).square().mean(1) @ weight) for part, chosen, weight in blocks)
    least = math.sqrt(error / max(float(weights.double().sum()), 1e-30)) / SH_ERROR
    return entries, labels, min(max(least, 1.0), MAX_COARSENESS)


def _log_means(scene: Gaussians, step: float) -> tuple[Tensor, dict[str, Any]]:
    """[N, 3] int32 16-bit numbers, multiples of a power of 2, which leave few values to the low byte, and their range.

    Args:
        step: of them, in standard deviations along the middle axis of a typical Gaussian.
    """
    if len(scene) == 0:
        return torch.zeros(0, 3, dtype=torch.int32), {"mins": [0.0] * 3, "maxs": [0.0] * 3}
    # In float64, since far from the origin neighbours differ in the last digits of their logarithms.
    logs = scene.means.sign() * scene.means.double().abs().log1p()
    low, size = logs.amin(0), logs.amax(0) - logs.amin(0)
    slopes = 1 + scene.means.abs().amax(1)
    step *= float((scene.log_scales.median(1).values.clamp(max=MAX_LOG_SCALE).exp() / slopes).median())
    # As many of 16 bits as there are without use; the range grows so that the rest make up the step.
    finest = (size / 0xFFFF).clamp(min=1e-12)
    spare = (step / finest).log2().floor().clamp(0, 8)
    unit = torch.maximum(step / 2**spare, finest)
    numbers = (((logs - low) / (unit * 2**spare)).round() * 2**spare).int()
    return numbers.clamp(0, 0xFFFF), {"mins": low.tolist(), "maxs": (low + unit * 0xFFFF).tolist()}


def _nearest_identity(quats: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """The same Gaussians with their axes renamed, in the one of 24 ways that leaves the least to turn: quaternions keep
    a 24th of their values, and w is always the largest component."""
    best = torch.cat([(part @ CONJUGATES.T).abs().argmax(1) for part in quats.split(BLOCK)])
    return quaternion_product(quats, CUBE[best]), log_scales.gather(1, AXES[best])


def _quat_bytes(quats: Tensor, step: int) -> Tensor:
    """[N, 4] the bytes of unit quaternions whose w is the largest component."""
    others = quats[:, 1:] * quats[:, :1].sign()
    numbers = _stepped((others * math.sqrt(2) + 1) * 127.5, 127, step)
    return torch.cat([numbers, torch.full_like(numbers[:, :1], FIRST_TAG)], 1)


def _stepped(numbers: Tensor, start: int, step: int) -> Tensor:
    """The nearest bytes that are whole steps from a start."""
    return (start + ((numbers - start) / step).round() * step).clamp(0, 255)


def _short(book: Tensor) -> list[float]:
    return [float(f"{value:.6g}") or 0 for value in book.tolist()]


def _texture(*columns: Tensor) -> Tensor:
    """[H, W, 4] bytes of columns of [N, 1] to [N, 4] in all, in rows; alpha is 255 where there are three."""
    count = len(columns[0])
    width = max(4 * math.ceil(math.sqrt(count) / 4), 4)
    height = max(4 * math.ceil(count / (4 * width)), 4)
    texels = torch.zeros(height * width, 4, dtype=torch.uint8)
    texels[:count, 3] = 255
    start = 0
    for column in columns:
        texels[:count, start : start + column.shape[1]] = column
        start += column.shape[1]
    return texels.view(height, width, 4)


def _webp(picture: Tensor) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    # `exact`: otherwise texels of alpha 0 lose their other bytes.
    Image.fromarray(picture.numpy()).save(content, "WEBP", lossless=True, exact=True, method=4, quality=100)
    return content.getvalue()


def _pictures(path: Path, meta: _Meta, member: Callable[[str], bytes]) -> Callable[[str], np.ndarray]:
    """What decodes a picture: [count, 4] bytes of the Gaussians' texels, or [H, W, 4] of the palette's."""
    sources = {"means_l": ("means", 0), "means_u": ("means", 1)}
    sources |= {"scales": ("scales", 0), "quats": ("quats", 0), "sh0": ("sh0", 0)}
    if meta.get("shN") is not None:
        sources |= {"centroids": ("shN", 0), "labels": ("shN", 1)}
    contents = {key: member(meta.file(*source)) for key, source in sources.items()}
    count = meta.count()
    check_claim(path, count, sum(map(len, contents.values())))

    def decoded(key: str) -> np.ndarray:
        if key == "centroids":
            return _decoded(path, contents[key], 1, MAX_PALETTE * max(BANDS))
        return _decoded(path, contents[key], count, count + count // 4 + SPARE_TEXELS).reshape(-1, 4)[:count]

    return decoded


def _decoded(path: Path, content: bytes, least: int, most: int) -> np.ndarray:
    """[H, W, 4] bytes of a lossless WebP of `least` to `most` texels; its header is looked at before it is decoded."""
    from PIL import Image

    if content[:4] != b"RIFF" or content[8:16] != b"WEBPVP8L" or len(content) < 25:
        raise _damaged(path, "a picture in it is no lossless WebP")
    sides = int.from_bytes(content[21:25], "little")
    width, height = (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    if not least <= width * height <= most:
        raise _damaged(path, f"a picture of {width} x {height} in it does not fit the number of its Gaussians")
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
            return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise _damaged(path, f"a picture in it cannot be decoded ({error})") from error


# What is too large for float32 becomes infinite, and is left out in the end.
@np.errstate(all="ignore")
def _means(meta: _Meta, texels: Callable[[str], np.ndarray]) -> np.ndarray:
    low, high = texels("means_l"), texels("means_u")
    means = np.empty((len(low), 3), np.float32)
    for axis, (least, most) in enumerate(zip(*meta.range("means", 3), strict=True)):
        steps = least + (most - least) * np.arange(1 << 16) / 0xFFFF
        table = (np.sign(steps) * np.expm1(np.abs(steps))).astype(np.float32)
        means[:, axis] = table[low[:, axis] | high[:, axis].astype(np.uint16) << 8]
    return means


def _quats(meta: _Meta, texels: Callable[[str], np.ndarray]) -> np.ndarray:
    codes = texels("quats")
    quats = np.empty((len(codes), 4), np.float32)
    quats[:, 1:] = ((np.arange(256) / 255 * 2 - 1) / math.sqrt(2)).astype(np.float32)[codes[:, :3]]
    quats[:, 0] = np.sqrt(np.maximum(1 - np.square(quats[:, 1:]).sum(1), 0))
    others = np.flatnonzero(codes[:, 3] != FIRST_TAG)
    tags = codes[others, 3].astype(np.int64) - FIRST_TAG
    # What no writer writes means no rotation.
    turned = np.take_along_axis(quats[others], ORDER[np.maximum(tags, 0)], 1)
    quats[others] = np.where(tags[:, None] < 0, np.array([1, 0, 0, 0], np.float32), turned)
    return quats


@np.errstate(all="ignore")
def _log_scales(meta: _Meta, texels: Callable[[str], np.ndarray]) -> np.ndarray:
    log_scales = _looked_up(texels("scales"), meta.tables("scales", 3))
    if meta.get("model") == "2dgs":
        log_scales[:, 2] = FLAT_LOG_SCALE
    return log_scales


@np.errstate(all="ignore")
def _looks(meta: _Meta, texels: Callable[[str], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """[N] opacity logits and [N, K, 3] SH."""
    codes = texels("sh0")
    logits = _looked_up(codes[:, 3:], meta.logits())[:, 0]
    colors = _looked_up(codes, meta.tables("sh0", 3))
    if meta.get("shN") is None:
        return logits, colors[:, None]
    centroids, labels = texels("centroids"), texels("labels")
    size, coefficients = meta.palette(*centroids.shape[:2])
    # An entry beyond the last is no colour of its own: all zeros, as other readers have it.
    palette = torch.zeros(size + 1, 1 + coefficients, 3)
    entries = _looked_up(centroids.reshape(-1, 4)[: size * coefficients], meta.tables("shN", 3))
    palette[:size, 1:] = torch.from_numpy(entries).view(size, coefficients, 3)
    chosen = np.minimum(labels[:, 0] | labels[:, 1].astype(np.int32) << 8, size)
    sh = palette.index_select(0, torch.from_numpy(chosen)).numpy()
    sh[:, 0] = colors
    return logits, sh


def _looked_up(texels: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """[N, C] float32: each of the first C bytes of a texel by its table, [C, 256]."""
    values = np.empty((len(texels), len(tables)), np.float32)
    for channel, table in enumerate(tables):
        values[:, channel] = table[texels[:, channel]]
    return values


class _Meta:
    """meta.json, of which nothing is believed: whatever is asked of it is checked for its kind and size."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        try:
            self._values = json.loads(content)
        # Numbers of thousands of digits, bytes that are no text, and brackets without end.
        except (ValueError, RecursionError) as error:
            raise _damaged(path, f"its meta.json is no JSON ({error})") from error
        if not isinstance(self._values, dict):
            raise _damaged(path, "its meta.json is no object")
        self.version = self.get("version", 1)

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def count(self) -> int:
        """How many Gaussians there are."""
        return self._whole("count") if self.version == 2 else self._whole("means", "shape", 0)

    def file(self, key: str, index: int) -> str:
        """The name of a picture, which never leads to another folder."""
        name = self._at(key, "files", index)
        if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\\:\0"):
            raise _damaged(self._path, f"its meta.json names no file for {key}")
        return name

    def range(self, key: str, size: int) -> tuple[np.ndarray, np.ndarray]:
        """[size] mins and maxs; version 1 has one for all of shN."""
        return self._numbers(size, key, "mins"), self._numbers(size, key, "maxs")

    def tables(self, key: str, channels: int) -> np.ndarray:
        """[channels, 256] what a byte means."""
        if self.version == 2:
            return np.broadcast_to(self._codebook(key), (channels, 256))
        low, high = (end[:channels, None] for end in self.range(key, 4 if key == "sh0" else 3))
        return (low + (high - low) * np.arange(256) / 255).astype(np.float32)

    def logits(self) -> np.ndarray:
        """[1, 256] opacity logits by their byte."""
        if self.version == 2:
            return np.log(np.arange(256) / np.arange(255, -1, -1))[None].astype(np.float32)
        low, high = self.range("sh0", 4)
        return (low[3:, None] + (high - low)[3:, None] * np.arange(256) / 255).astype(np.float32)

    def palette(self, height: int, width: int) -> tuple[int, int]:
        """The number of entries and the coefficients of one, in a picture of such a size."""
        coefficients = width // PALETTE_ROW
        if width % PALETTE_ROW or coefficients not in BANDS:
            raise _damaged(self._path, f"its palette is {width} texels wide, which fits no number of SH bands")
        if self.version == 1:
            return min(PALETTE_ROW * height, MAX_PALETTE), coefficients
        if self._at("shN", "bands") != BANDS[coefficients]:
            raise _damaged(self._path, f"its palette holds {BANDS[coefficients]} SH bands, which its meta.json denies")
        # Some writers count entries that their picture does not have.
        return min(self._whole("shN", "count"), PALETTE_ROW * height, MAX_PALETTE), coefficients

    def _codebook(self, key: str) -> np.ndarray:
        try:
            values = np.array(self._at(key, "codebook"), np.float64)
        except (ValueError, TypeError, OverflowError):
            values = np.empty(0)
        if values.shape == (256,) and np.isnan(values[0]):
            # A flaw of splat-transform's first releases, which PlayCanvas' readers mend like this.
            values[0] = values[1] + (values[1] - values[255]) / 255
        if values.shape != (256,) or not np.isfinite(values).all():
            raise _damaged(self._path, f"the codebook of {key} in its meta.json is not 256 numbers")
        return values.astype(np.float32)

    def _numbers(self, size: int, *keys: str) -> np.ndarray:
        try:
            values = np.broadcast_to(np.array(self._at(*keys), np.float64), size)
        except (ValueError, TypeError, OverflowError):
            values = np.empty(0)
        if not values.size == size or not np.isfinite(values).all():
            raise _damaged(self._path, f"{'.'.join(keys)} in its meta.json is not {size} numbers")
        return values

    def _whole(self, *keys: str | int) -> int:
        value = self._at(*keys)
        if type(value) is not int or not 0 <= value <= MAX_SIDE**2:
            raise _damaged(self._path, f"{'.'.join(map(str, keys))} in its meta.json is no number of anything")
        return value

    def _at(self, *keys: str | int) -> Any:
        value = self._values
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise _damaged(self._path, f"its meta.json lacks {'.'.join(map(str, keys))}") from None
        return value


@contextmanager
def _members(path: Path) -> Iterator[Callable[[str], bytes]]:
    """What gives the content of a file by its name: in a zip, or beside a meta.json."""
    if path.name.lower().endswith(".json"):

        def beside(name: str) -> bytes:
            file = path if name == "meta.json" else path.parent / name
            if not file.is_file():
                raise SplatError(f"{path} needs {name} beside it, which is not there; get the whole folder again")
            if name == "meta.json" and file.stat().st_size > MAX_META_BYTES:
                raise _damaged(path, "it is too long for what it should hold")
            return file.read_bytes()

        yield beside
        return
    size = path.stat().st_size
    try:
        with DirectoryFile(path) as directory:
            zipfile.ZipFile(directory)
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(path, f"it is no zip of pictures ({error})") from error
    with archive:

        def inside(name: str) -> bytes:
            # Members are stored as they are; in those that are not, a picture cannot be much larger than the file.
            most = MAX_META_BYTES if name == "meta.json" else size + MAX_META_BYTES
            try:
                info = archive.getinfo(name)
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.file_size > most:
                    raise _damaged(path, f"{name} in it is packed as no SOG file's is")
                # Reading a given number of bytes unpacks no more than those.
                with archive.open(info) as stream:
                    return stream.read(info.file_size)
            except KeyError:
                raise _damaged(path, f"it lacks {name}") from None
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, zlib.error) as error:
                raise _damaged(path, f"{name} in it cannot be unpacked ({error})") from error

        yield inside


def _damaged(path: Path, reason: str) -> SplatError:
    return SplatError(f"{path} is a damaged SOG file: {reason}; get it again from where it came")
