"""From a photo to the image that is trained on: straightened or as the lens bent it, resized, upright; and the camera
of that image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splat.cameras import Cameras
from splat.datasets.images import UPRIGHT, Header, Pixels, read_photo
from splat.datasets.lens import Lens
from splat.datasets.undistort import photo_from_straightened, straightened
from splat.errors import SplatError


@dataclass(frozen=True)
class Photo:
    """How to get from a file to the image that is trained on.

    Attributes:
        path: the photo.
        lens: of the photo's own pixels, after `transposed`.
        width, height: of the image before `turns`: the straightened photo, resized.
        transposed: the lens is for the photo set upright by its EXIF orientation.
        turns: quarter turns, clockwise, at the very end.
        mask: a picture that is black where the photo is not to be used.
        is_bent: the photo is left as the lens bent it, and its camera bends likewise.
    """

    path: Path
    lens: Lens
    width: int
    height: int
    transposed: bool = False
    turns: int = 0
    mask: Path | None = None
    is_bent: bool = False

    @property
    def shown(self) -> Lens:
        """The lens of the image, before it is resized and turned."""
        return self.lens if self.is_bent else straightened(self.lens)


def fit(
    path: Path, lens: Lens, header: Header, downscale: float, mask: Path | None, *, straighten: bool = True
) -> Photo | None:
    """Joins a lens and the photo it is for, or None where the photo cannot be the one that the lens describes.

    COLMAP ignores the EXIF orientation, other tools apply it: the lens' own size tells. A lens for the stored pixels is
    used on them and the result turned upright. Sizes may differ (the photo is a smaller copy), shapes not.

    Args:
        straighten: by all means; otherwise only photos through lenses that cameras have no model for.
    """
    stored, turned = (header.width, header.height), (header.height, header.width)
    transposed = header.orientation >= 5 and _same_shape(lens, turned) and not _same_shape(lens, stored)
    size = turned if transposed else stored
    if not _same_shape(lens, size):
        return None
    lens = lens.resized(*size)
    is_bent = not straighten and not lens.is_pinhole and lens.distortion is not None
    full = lens if is_bent else straightened(lens)
    width, height = (max(1, round(side / downscale)) for side in (full.width, full.height))
    mirrored, turns = UPRIGHT.get(header.orientation, (False, 0))
    if transposed or mirrored:  # No camera writes mirrored photos, and no rigid pose mirrors a view: leave them.
        turns = 0
    return Photo(path, lens, width, height, transposed, turns, mask, is_bent)


def _same_shape(lens: Lens, size: tuple[int, int]) -> bool:
    """Whether one is the other, resized. Rounded sides of a small copy change its shape a little."""
    x, y = size[0] / lens.width, size[1] / lens.height
    return abs(x - y) <= 0.02 * max(x, y)


def load(photo: Photo, background: tuple[float, float, float] | None) -> tuple[Pixels, Pixels | None]:
    """The image [H, W, 3] and the mask [H, W] (1 = use), or None where all of it is to be used.

    Args:
        background: shown through a transparent photo, RGB in [0, 1]; None makes the transparency a mask instead.
    """
    pixels = read_photo(photo.path, upright=photo.transposed)
    masks = []
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        if background is None:
            masks.append(alpha)
            pixels = pixels[..., :3]
        else:
            # Before any resampling: a transparent pixel's own colour means nothing and must not bleed.
            weight = alpha[..., None].astype(np.float32) / 255
            over = pixels[..., :3] * weight + np.float32(255) * np.array(background, np.float32) * (1 - weight)
            pixels = (over + 0.5).astype(np.uint8)
    if photo.mask is not None:
        masks.append(_read_mask(photo))
    image = straighten(np.ascontiguousarray(pixels), photo)
    if not masks:
        return image, None
    mask = np.minimum.reduce([straighten(np.ascontiguousarray(mask), photo) for mask in masks])
    return image, (mask > 127).astype(np.uint8)


def camera(photo: Photo, cam_from_world: NDArray[np.float64]) -> Cameras:
    """The camera [1], float32, of the image that `load` makes of a photo whose own camera stood at a pose [4, 4]."""
    full = photo.shown
    K = torch.tensor([[full.fx, 0, full.cx], [0, full.fy, full.cy], [0, 0, 1]], dtype=torch.float64)
    view = Cameras(torch.from_numpy(cam_from_world)[None], K[None], full.width, full.height)
    if photo.is_bent:
        model = "fisheye" if full.is_fisheye else "pinhole"
        view = replace(view, model=model, distortion=torch.tensor([full.distortion], dtype=torch.float64))
    view = view.resized(photo.width, photo.height)
    for _ in range(photo.turns):
        view = _turned(view)
    return view.to(dtype=torch.float32)


def straighten(pixels: NDArray[Any], photo: Photo) -> NDArray[Any]:
    """What a photo's image is to the photo, of anything [h, w, ...] that lies over it pixel by pixel: straightened,
    resized by area, turned. NaN spreads to what it takes part in."""
    import cv2

    size = (photo.lens.width, photo.lens.height)
    if not (photo.is_bent or photo.lens.is_pinhole):
        if pixels.shape[1::-1] != size:
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)  # pyright: ignore
        where = photo_from_straightened(photo.lens)
        # The map stays inside the photo; its outermost half pixel has no neighbour on one side and repeats the edge.
        pixels = cv2.remap(pixels, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore
    if pixels.shape[:2] != (photo.height, photo.width):
        pixels = cv2.resize(pixels, (photo.width, photo.height), interpolation=cv2.INTER_AREA)  # pyright: ignore
    return np.ascontiguousarray(np.rot90(pixels, -photo.turns))


def counts(photo: Photo) -> bool:
    """Whether the photo's mask, if it has one, leaves anything of it.

    Raises:
        SplatError: the mask cannot be read, or is of another shape than the photo.
    """
    return photo.mask is None or bool((_read_mask(photo) > 127).any())


def _read_mask(photo: Photo) -> Pixels:
    """[H, W] uint8, at the size of the photo's pixels; a mask may be another size of the same shape."""
    import cv2

    assert photo.mask is not None
    pixels = read_photo(photo.mask, upright=False)
    height, width = pixels.shape[:2]
    if not _same_shape(photo.lens, (width, height)):
        raise SplatError(
            f"{photo.mask} is a mask of {width} x {height} pixels for a photo of {photo.lens.width} x "
            f"{photo.lens.height}: give it the photo's shape, at any size"
        )
    # A mask drawn as transparency counts as well as one drawn in black.
    mask = pixels[..., :3].max(-1) if pixels.shape[2] == 3 else np.minimum(pixels[..., :3].max(-1), pixels[..., 3])
    size = (photo.lens.width, photo.lens.height)
    return mask if mask.shape[::-1] == size else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)  # pyright: ignore


def _turned(camera: Cameras) -> Cameras:
    """The camera whose image is that of `camera`, turned clockwise by 90 degrees."""
    turn = torch.tensor([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=camera.viewmats.dtype)
    K = camera.Ks.clone()
    K[:, 0, 0], K[:, 1, 1] = camera.Ks[:, 1, 1], camera.Ks[:, 0, 0]
    K[:, 0, 2], K[:, 1, 2] = camera.height - camera.Ks[:, 1, 2], camera.Ks[:, 0, 2]
    distortion = camera.distortion
    if distortion is not None and camera.model == "pinhole":
        # The tangential terms turn with the image: (p1, p2) -> (p2, -p1).
        k1, k2, p1, p2, *rest = distortion.unbind(1)
        distortion = torch.stack([k1, k2, p2, -p1, *rest], dim=1)
    return Cameras(turn @ camera.viewmats, K, camera.height, camera.width, camera.model, distortion)
