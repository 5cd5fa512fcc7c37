"""Scene: the views to train on, whatever files they came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.datasets.cache import ImageCache
from splat.datasets.frames import Capture, Frame, counted, listed
from splat.datasets.images import find_photos, is_whole, read_header
from splat.datasets.normalize import extent, moved_poses, plausible, similarity_from_cameras
from splat.datasets.photo import Photo, camera, counts, fit, load
from splat.datasets.split import split
from splat.datasets.threads import default_threads, in_order
from splat.errors import SplatError

FORMATS = ("colmap", "nerfstudio", "blender")
MIN_VIEWS = 3
#: Decoded images that are kept, bytes: all of an ordinary capture, a part of a large one.
CACHE_BYTES = 2 << 30
WHITE = (1.0, 1.0, 1.0)


@dataclass
class View:
    """A photo's name and its camera, of the size the photo is loaded with, in the normalised world. It is a pinhole
    unless the scene was opened with `straighten` false."""

    name: str
    camera: Cameras


@dataclass
class Scene:
    """A capture, ready to train on. H, W differ from view to view.

    Attributes:
        source: the folder it was read from.
        views: sorted by name.
        train, test: indices into `views`.
        points: [P, 3] float32 reconstructed points, normalised world; P may be 0.
        point_colors: [P, 3] uint8.
        normalization: [4, 4] float64 similarity, normalised-from-world; its inverse takes results back to the capture.
        extent: 1.1 times the largest distance of a training camera from their mean, normalised units.
        background: what transparent photos were laid over, RGB in [0, 1]; render over it too. None: they are masked.
        warnings: what was left out and why, a sentence each.
        tracks: [K] indices into `points` of those that a view shows, by the view's; views are missing of which the
            capture does not say.
    """

    source: Path
    views: list[View]
    train: list[int]
    test: list[int]
    points: Tensor
    point_colors: Tensor
    normalization: Tensor
    extent: float
    background: tuple[float, float, float] | None = None
    warnings: list[str] = field(default_factory=list)
    tracks: dict[int, Tensor] = field(default_factory=dict, repr=False)
    photos: list[Photo] = field(default_factory=list, repr=False)
    cache: ImageCache = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.cache = ImageCache(self._decode, CACHE_BYTES)

    def image(self, index: int) -> Tensor:
        """[H, W, 3] uint8: the resized photo, straightened or not. Decoded on first use; do not write into it.

        Raises:
            SplatError: the photo was damaged or removed since the scene was opened.
        """
        return self.cache.get(index)[0]

    def mask(self, index: int) -> Tensor | None:
        """[H, W] uint8, 1 where the photo is to be used; None where all of it is."""
        return self.cache.get(index)[1]

    def prefetch(self, indices: Iterable[int]) -> None:
        """Decodes these views in the background; returns at once."""
        self.cache.prefetch(indices)

    def _decode(self, index: int) -> tuple[Tensor, Tensor | None]:
        image, mask = load(self.photos[index], self.background)
        return torch.from_numpy(image), None if mask is None else torch.from_numpy(mask)


def find_format(path: str | os.PathLike[str]) -> str | None:
    """Which of `FORMATS` a folder is in; None where it holds no cameras (only photos, perhaps)."""
    from splat.datasets.colmap import find_models

    path = Path(path)
    if not path.is_dir():
        return None
    if find_models(path):
        return "colmap"
    if (path / "transforms.json").is_file():
        return "nerfstudio"
    return "blender" if (path / "transforms_train.json").is_file() else None


def open_scene(
    path: str | os.PathLike[str],
    *,
    downscale: float = 1,
    format: str = "auto",
    test_every: int = 8,
    test_names: Sequence[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    background: tuple[float, float, float] | None = None,
    normalize: bool = True,
    straighten: bool = True,
) -> Scene:
    """Opens a capture: reads its cameras and the photos' headers, and leaves out the photos that are damaged.

    Args:
        path: the capture's folder.
        downscale: divides the size of the photos; where images_2, images_4, ... hold that size, those are read.
        format: "colmap", "nerfstudio", "blender", or "auto": the first of these that the folder has files of.
        test_every: every n-th view by name is held out, from the first; 0 holds out none. Captures that come
            with held-out views of their own keep those.
        test_names: holds out exactly these views instead.
        masks: folder of masks named like the photos (a.jpg.png or a.png), of any size, black = not to be used; a photo
            that is masked as a whole is left out. By default the capture's folder `masks`, where there is one.
        background: laid under transparent photos, RGB in [0, 1]. By default transparency is a mask, except in the
            format "blender", whose renderings get white.
        normalize: centre, turn and scale the world (see normalize.py); otherwise it stays the capture's own.
        straighten: resample photos to what a pinhole camera would have seen; otherwise they stay as their lens bent
            them, and the cameras bend likewise. Lenses beyond OpenCV's models, and panoramas, are straightened anyway.

    Raises:
        SplatError: no capture there, damaged files, a mask that doesn't fit, or fewer than 3 usable views.
        ValueError: an argument is out of range.
    """
    path = Path(path)
    if downscale < 1:
        raise ValueError(f"downscale must be >= 1, got {downscale}")
    if format not in ("auto", *FORMATS):
        raise ValueError(f"format must be one of auto, {', '.join(FORMATS)}, got {format!r}")
    if test_every < 0:
        raise ValueError(f"test_every must be >= 0, got {test_every}")
    name = _require_format(path) if format == "auto" else format
    capture: Capture = import_module(f"splat.datasets.{name}").load(path)
    frames, photos = _usable(path, capture, downscale, Path(masks) if masks is not None else None, straighten)
    if name == "colmap":
        _name_unregistered(capture)
    names = [frame.name for frame in frames]
    train, test = split(names, [frame.is_test for frame in frames], test_every, test_names)
    views, points, colors, tracks, similarity = _place(frames, photos, capture, normalize)
    positions = torch.cat([views[i].camera.positions for i in train]).double().numpy()
    return Scene(
        source=path,
        views=views,
        train=train,
        test=test,
        points=points,
        point_colors=colors,
        normalization=similarity,
        extent=extent(positions),
        background=WHITE if background is None and name == "blender" else background,
        warnings=capture.warnings,
        tracks=tracks,
        photos=photos,
    )


def _require_format(path: Path) -> str:
    if not path.is_dir():
        what = "is a file, not a folder with a capture" if path.exists() else "does not exist"
        raise SplatError(f"{path} {what}; give the folder that holds the photos and their cameras")
    name = find_format(path)
    if name is None:
        raise SplatError(
            f"{path} holds no cameras: neither sparse/0 (COLMAP) nor transforms.json nor transforms_train.json; "
            f"make them from the photos with `splat capture {path} -o SCENE`"
        )
    return name


def _usable(
    path: Path, capture: Capture, downscale: float, masks: Path | None, straighten: bool
) -> tuple[list[Frame], list[Photo]]:
    """The frames whose photo can be read and fits its camera, sorted by name; says what was left out."""
    if masks is not None and not masks.is_dir():
        raise SplatError(f"{masks} is no folder, so there are no masks in it; check the path")
    masks = masks or path / "masks"
    kept: list[tuple[Frame, Photo]] = []
    left_out: dict[str, list[str]] = {}
    frames = sorted(capture.frames, key=lambda frame: frame.name)

    def opening(frame: Frame) -> tuple[str, Photo | None]:
        return _open_photo(frame, capture.images, downscale, masks, straighten)

    opened = in_order(opening, frames, default_threads())
    for frame, (reason, photo) in zip(frames, opened, strict=True):
        if photo is None:
            left_out.setdefault(reason, []).append(frame.name)
        else:
            kept.append((frame, photo))
    reasons = [f"{counted(len(names), 'photo')} {reason}: {listed(names)}." for reason, names in left_out.items()]
    capture.warnings += reasons
    beyond = sorted({photo.lens.model for _, photo in kept if not (straighten or photo.lens.distortion is not None)})
    if beyond:
        capture.warnings.append(f"Photos through {' and '.join(beyond)} lenses are straightened all the same.")
    if len(kept) < MIN_VIEWS:
        why = " ".join(capture.warnings) or "The capture has no more photos than that."
        raise SplatError(
            f"{path} has {counted(len(kept), 'usable view')}, and training needs at least {MIN_VIEWS}. {why}"
            " Mend the photos or take more of them."
        )
    return [frame for frame, _ in kept], [photo for _, photo in kept]


def _open_photo(
    frame: Frame, folder: Path, downscale: float, masks: Path, straighten: bool
) -> tuple[str, Photo | None]:
    """The photo of a frame, from the folder of smaller copies where it is there; else the reason why not."""
    if not np.isfinite(frame.cam_from_world).all():
        return "have a pose that is no number", None
    path = frame.path
    smaller = folder.with_name(f"{folder.name}_{downscale:g}")
    if downscale > 1 and frame.path.is_relative_to(folder):
        copy = smaller / frame.path.relative_to(folder)
        if copy.is_file():
            path, downscale = copy, 1
    if not path.is_file():
        return "missing", None
    try:
        header = read_header(path)
    except SplatError as error:
        return ("need pillow-heif (`pip install pillow-heif`)" if "pillow-heif" in str(error) else "unreadable"), None
    if not is_whole(path):
        return "damaged", None
    mask = frame.mask or _find_mask(masks, _name_in(folder, frame.path))
    photo = fit(path, frame.lens, header, downscale, mask, straighten=straighten)
    if photo is not None and not counts(photo):
        return "masked as a whole", None
    return "of another shape than their camera", photo


def _name_in(folder: Path, path: Path) -> str:
    """A photo's name below the folder of photos."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _find_mask(folder: Path, name: str) -> Path | None:
    """COLMAP names a mask a.jpg.png, most others a.png."""
    candidates = (folder / f"{name}.png", folder / Path(name).with_suffix(".png"))
    return next((mask for mask in candidates if mask.is_file()), None)


def _name_unregistered(capture: Capture) -> None:
    known = {_name_in(capture.images, frame.path) for frame in capture.frames}
    found = [_name_in(capture.images, photo) for photo in find_photos(capture.images)]
    lost = [name for name in found if name not in known]
    if lost:
        capture.warnings.append(
            f"{len(lost)} of {counted(len(found), 'photo')} not in the model, since COLMAP could not place them: "
            f"{listed(lost)}."
        )


def _place(
    frames: list[Frame], photos: list[Photo], capture: Capture, normalize: bool
) -> tuple[list[View], Tensor, Tensor, dict[int, Tensor], Tensor]:
    """Views and points in the normalised world, colours and tracks, and the similarity that took them there."""
    poses = np.stack([frame.cam_from_world for frame in frames])
    keep = plausible(capture.points)
    damaged = int((~np.isfinite(capture.points).all(1)).sum())
    if damaged:
        capture.warnings.append(f"{counted(damaged, 'point')} of the model not finite and left out.")
    points = capture.points[keep]
    similarity = similarity_from_cameras(poses, points) if normalize else np.eye(4)
    poses = moved_poses(similarity, poses)
    points = points @ similarity[:3, :3].T + similarity[:3, 3]
    views = [View(f.name, camera(photo, pose)) for f, photo, pose in zip(frames, photos, poses, strict=True)]
    row = np.cumsum(keep) - 1
    tracks = {
        index: torch.from_numpy(row[shown[keep[shown]]])
        for index, frame in enumerate(frames)
        if (shown := capture.tracks.get(frame.name)) is not None
    }
    return (
        views,
        torch.from_numpy(points.astype(np.float32)),
        torch.from_numpy(capture.colors[keep]),
        tracks,
        torch.from_numpy(similarity),
    )
