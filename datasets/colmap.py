"""COLMAP's models, binary and text, read without COLMAP.

Counts in a binary file are believed only as far as the file's own length bears them out.
Layout: https://colmap.github.io/format.html
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.frames import Capture, Frame, cube
from splat.datasets.lens import BY_NAME, MODELS, Lens
from splat.errors import SplatError

AGAIN = "copy it again or reconstruct the scene again"


def find_models(path: Path) -> list[Path]:
    """The folders with a model in a capture: sparse/0, sparse/1, ..., sparse or the folder itself."""
    sparse = path / "sparse"
    numbered = [folder for folder in sparse.iterdir() if folder.is_dir()] if sparse.is_dir() else []
    for folders in (sorted(numbered, key=lambda folder: (len(folder.name), folder.name)), [sparse], [path]):
        found = [folder for folder in folders if _suffix(folder)]
        if found:
            return found
    return []


def load(path: Path) -> Capture:
    """Reads the capture's largest model.

    Raises:
        SplatError: a file of the model is absent, cut short or says what cannot be.
    """
    models = find_models(path)
    if not models:
        raise SplatError(f"{path} holds no COLMAP model (sparse/0/cameras.bin or .txt); run `splat capture` first")
    images = path / "images" if (path / "images").is_dir() else path
    read = {model: read_frames(model, images) for model in models}
    best = max(models, key=lambda model: len(read[model]))
    points, colors = read_points(best)
    capture = Capture(images, read[best], points, colors, read_tracks(best))
    if len(models) > 1:
        capture.warnings.append(
            f"sparse/ holds {len(models)} models that are not joined; the largest, {best.name}, has "
            f"{len(read[best])} of the photos and is used."
        )
    return capture


def read_frames(model: Path, images: Path) -> list[Frame]:
    """The registered photos of the model in a folder."""
    binary = _suffix(model) == ".bin"
    lenses = (_binary_lenses if binary else _text_lenses)(model)
    frames = []
    for _, camera_id, name, pose in (_binary_poses if binary else _text_poses)(model):
        if camera_id not in lenses:
            raise SplatError(f"{model}: photo {name} has camera {camera_id}, which the model lacks; {AGAIN}")
        frame = Frame(name, images / name, lenses[camera_id], _matrix(pose))
        frames += cube(frame) if frame.lens.is_panorama else [frame]
    return frames


def read_points(model: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Positions [P, 3] and colours [P, 3] of the model in a folder."""
    return _binary_points(model) if _suffix(model) == ".bin" else _text_points(model)


def read_tracks(model: Path) -> dict[str, NDArray[np.int64]]:
    """For each photo, by name, which of the points it shows: rows of what `read_points` returns."""
    binary = _suffix(model) == ".bin"
    photos = {number: name for number, _, name, _ in (_binary_poses if binary else _text_poses)(model)}
    rows: dict[int, list[int]] = {number: [] for number in photos}
    for row, track in enumerate((_binary_tracks if binary else _text_tracks)(model)):
        # One photo may have seen a point twice.
        for number in set(track):
            if number in rows:
                rows[number].append(row)
    return {photos[number]: np.array(found, np.int64) for number, found in rows.items()}


def _suffix(folder: Path) -> str | None:
    for suffix in (".bin", ".txt"):
        if (folder / f"cameras{suffix}").is_file() and (folder / f"images{suffix}").is_file():
            return suffix
    return None


def _matrix(pose: tuple[float, ...]) -> NDArray[np.float64]:
    """[4, 4] from quaternion wxyz and translation; NaN where the quaternion is none."""
    w, x, y, z = np.array(pose[:4]) / (np.linalg.norm(pose[:4]) or np.nan)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = pose[4:]
    return matrix


def _lens(path: Path, number: int, model: int | str, width: int, height: int, parameters: tuple[float, ...]) -> Lens:
    """Checks what a lens can be."""
    known = BY_NAME.get(model) if isinstance(model, str) else MODELS[model] if 0 <= model < len(MODELS) else None
    if known is None:
        raise SplatError(f"{path}: camera {number} has the unknown model {model}; known: {', '.join(BY_NAME)}")
    if len(parameters) != known.parameters:
        raise SplatError(
            f"{path}: camera {number} ({known.name}) has {len(parameters)} parameters instead of "
            f"{known.parameters}; {AGAIN}"
        )
    if not (width > 0 and height > 0 and np.isfinite(parameters).all()):
        raise SplatError(f"{path}: camera {number} has no size or parameters that are not numbers; {AGAIN}")
    lens = Lens.from_colmap(known, width, height, parameters)
    if not (lens.fx > 0 and lens.fy > 0):
        raise SplatError(f"{path}: camera {number} has a focal length of {min(lens.fx, lens.fy)}; {AGAIN}")
    return lens


class _Bytes:
    """A binary file read front to back; whatever goes beyond its end is an error that names the place."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SplatError(f"{path} is missing, and a COLMAP model needs it; {AGAIN}")
        self.path, self.offset = path, 0
        with path.open("rb") as file:
            # Mapped, not read: a large model's photos list gigabytes of 2D points, all of which are passed over. An
            # empty file cannot be mapped.
            empty = file.seek(0, 2) == 0
            self.data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def take(self, layout: struct.Struct) -> tuple:
        self.need(layout.size)
        values = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def count(self, record_bytes: int, what: str) -> int:
        """A number of records, each of at least so many bytes."""
        (count,) = self.take(_COUNT)
        if count * record_bytes > len(self.data) - self.offset:
            raise SplatError(
                f"{self.path} is damaged: at byte {self.offset - 8} it claims {count:,} {what}, more than its "
                f"{len(self.data):,} bytes can hold; {AGAIN}"
            )
        return count

    def name(self) -> str:
        end = self.data.find(b"\0", self.offset)
        if end < 0:
            self.need(len(self.data) + 1)
        text = self.data[self.offset : end].decode("utf-8", "replace")
        self.offset = end + 1
        return text

    def need(self, size: int) -> None:
        if self.offset + size > len(self.data):
            raise SplatError(
                f"{self.path} is damaged: it ends at byte {len(self.data):,}, in the middle of a record; {AGAIN}"
            )

    def end(self) -> None:
        if self.offset != len(self.data):
            raise SplatError(
                f"{self.path} is damaged: {len(self.data) - self.offset:,} bytes follow the last record, at byte "
                f"{self.offset:,}; {AGAIN}"
            )


_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<IiQQ")
_IMAGE = struct.Struct("<I7dI")
#: id, x y z, r g b, reprojection error; the length of the track follows, then 8 bytes for each photo in it.
_POINT = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8")])


def _binary_lenses(model: Path) -> dict[int, Lens]:
    file = _Bytes(model / "cameras.bin")
    lenses = {}
    for _ in range(file.count(_CAMERA.size, "cameras")):
        number, kind, width, height = file.take(_CAMERA)
        size = MODELS[kind].parameters if 0 <= kind < len(MODELS) else 0
        parameters = file.take(struct.Struct(f"<{size}d"))
        lenses[number] = _lens(file.path, number, kind, width, height, parameters)
    file.end()
    return lenses


def _binary_poses(model: Path) -> Iterator[tuple[int, int, str, tuple[float, ...]]]:
    """Number, camera, name and pose of each photo."""
    file = _Bytes(model / "images.bin")
    for _ in range(file.count(_IMAGE.size + 9, "photos")):
        number, *pose, camera_id = file.take(_IMAGE)
        name = file.name()
        observations = 24 * file.count(24, "points in a photo")
        file.offset += observations
        yield number, camera_id, name, tuple(pose)
    file.end()


def _binary_points(model: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    file = _Bytes(model / "points3D.bin")
    count = file.count(_POINT.itemsize + 8, "points")
    offsets = np.empty(count, np.int64)
    for i in range(count):
        offsets[i] = file.offset
        file.need(_POINT.itemsize)
        file.offset += _POINT.itemsize
        track = 8 * file.count(8, "photos of a point")
        file.offset += track
    file.end()
    data, records = np.frombuffer(file.data, np.uint8), np.empty(count, _POINT)
    for start in range(0, count, 65536):  # In blocks: the table of byte indices is 8 times the size of the records.
        block = slice(start, start + 65536)
        records[block] = data[offsets[block, None] + np.arange(_POINT.itemsize)].view(_POINT)[:, 0]
    return records["xyz"].copy(), records["rgb"].copy()


def _binary_tracks(model: Path) -> Iterator[tuple[int, ...]]:
    """The numbers of the photos of each point."""
    file = _Bytes(model / "points3D.bin")
    for _ in range(file.count(_POINT.itemsize + 8, "points")):
        file.need(_POINT.itemsize)
        file.offset += _POINT.itemsize
        length = file.count(8, "photos of a point")
        yield file.take(struct.Struct(f"<{2 * length}I"))[::2]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without comments."""
    if not path.is_file():
        raise SplatError(f"{path} is missing, and a COLMAP model needs it; {AGAIN}")
    for number, line in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
        if not line.startswith("#"):
            yield number, line


def _bad_line(path: Path, number: int) -> SplatError:
    return SplatError(f"{path} is damaged: line {number} is not what COLMAP writes; {AGAIN}")


def _text_lenses(model: Path) -> dict[int, Lens]:
    path, lenses = model / "cameras.txt", {}
    for number, line in _lines(path):
        if not (words := line.split()):
            continue
        try:
            camera_id, width, height = int(words[0]), int(words[2]), int(words[3])
            parameters = tuple(map(float, words[4:]))
        except (ValueError, IndexError):
            raise _bad_line(path, number) from None
        lenses[camera_id] = _lens(path, camera_id, words[1], width, height, parameters)
    return lenses


def _text_poses(model: Path) -> Iterator[tuple[int, int, str, tuple[float, ...]]]:
    path = model / "images.txt"
    lines = _lines(path)
    for number, line in lines:
        if not line.strip():
            continue
        # id, qw qx qy qz, tx ty tz, camera, name; a name may contain spaces.
        words = line.split(maxsplit=9)
        try:
            photo, pose, camera_id = int(words[0]), tuple(map(float, words[1:8])), int(words[8])
            name = words[9].strip()
        except (ValueError, IndexError):
            raise _bad_line(path, number) from None
        next(lines, None)  # The photo's 2D points: one line, empty where it has none.
        yield photo, camera_id, name, pose


def _text_points(model: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    path = model / "points3D.txt"
    positions, colors = [], []
    for number, line in _lines(path):
        if not (words := line.split(maxsplit=7)):
            continue
        try:
            positions.append(tuple(map(float, words[1:4])))
            colors.append(tuple(map(int, words[4:7])))
            complete = len(positions[-1]) == len(colors[-1]) == 3 and 0 <= min(colors[-1]) <= max(colors[-1]) <= 255
        except ValueError:
            complete = False
        if not complete:
            raise _bad_line(path, number)
    return np.array(positions, np.float64).reshape(-1, 3), np.array(colors, np.uint8).reshape(-1, 3)


def _text_tracks(model: Path) -> Iterator[tuple[int, ...]]:
    path = model / "points3D.txt"
    for number, line in _lines(path):
        if not (words := line.split()):
            continue
        try:
            # id, x y z, r g b, error; then photo and place, over and over.
            yield tuple(map(int, words[8::2]))
        except ValueError:
            raise _bad_line(path, number) from None
