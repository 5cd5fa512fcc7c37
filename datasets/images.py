"""Photos: what a header tells, and from file to straightened pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splat.datasets.lens import Lens
from splat.datasets.undistort import photo_from_straightened, straightened
from splat.errors import SplatError

Image = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp")
ORIENTATION_TAG = 0x0112
#: EXIF orientation -> quarter turns, clockwise, that set the photo upright. The mirrored ones are no camera's.
TURNS = {3: 2, 6: 1, 8: 3}


class Header(NamedTuple):
    """Size of the pixels as stored, and the EXIF orientation (1 = upright)."""

    width: int
    height: int
    orientation: int


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
    """

    path: Path
    lens: Lens
    width: int
    height: int
    transposed: bool = False
    turns: int = 0
    mask: Path | None = None


def find_photos(folder: Path) -> list[Path]:
    """Every photo in a folder and its subfolders, sorted; hidden ones left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def read_header(path: Path) -> Header:
    """Reads size and orientation without decoding.

    Raises:
        SplatError: the photo is missing, cut short or of an unknown format.
    """
    with _open(path) as image:
        header = Header(*image.size, int(image.getexif().get(ORIENTATION_TAG) or 1))
        if _looks_cut(path, image.format or ""):
            _decoded(path, image)
    return header


def read_photo(path: Path, *, upright: bool) -> Image:
    """Decodes a photo to [H, W, 3] or, where it has transparency, [H, W, 4] uint8 (straight alpha).

    Args:
        upright: set the photo upright by its EXIF orientation; otherwise the pixels come as they are stored.

    Raises:
        SplatError: as `read_header`.
    """
    from PIL import ImageOps

    with _open(path) as image:
        pixels = _decoded(path, image)
        return np.asarray(ImageOps.exif_transpose(pixels) if upright else pixels)


def load(photo: Photo, background: tuple[float, float, float] | None) -> tuple[Image, Image | None]:
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
    image = _straighten(np.ascontiguousarray(pixels), photo)
    if not masks:
        return image, None
    mask = np.minimum.reduce([_straighten(np.ascontiguousarray(mask), photo) for mask in masks])
    return image, (mask > 127).astype(np.uint8)


def _straighten(pixels: Image, photo: Photo) -> Image:
    """Photo pixels -> pinhole image, resized by area, turned."""
    import cv2

    if not photo.lens.is_pinhole:
        where = photo_from_straightened(photo.lens)
        # The map stays inside the photo; its outermost half pixel has no neighbour on one side and repeats the edge.
        pixels = cv2.remap(pixels, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore
    if pixels.shape[:2] != (photo.height, photo.width):
        pixels = cv2.resize(pixels, (photo.width, photo.height), interpolation=cv2.INTER_AREA)  # pyright: ignore
    return np.ascontiguousarray(np.rot90(pixels, -photo.turns))


def fit(path: Path, lens: Lens, header: Header, downscale: float, mask: Path | None) -> Photo | None:
    """Joins a lens and the photo it is for, or None where the photo cannot be the one that the lens describes.

    COLMAP ignores the EXIF orientation, other tools apply it: the lens' own size tells. A lens for the stored pixels is
    used on them and the result turned upright. Sizes may differ (the photo is a smaller copy), shapes not.
    """
    stored, turned = (header.width, header.height), (header.height, header.width)
    transposed = header.orientation >= 5 and _same_shape(lens, turned) and not _same_shape(lens, stored)
    size = turned if transposed else stored
    if not _same_shape(lens, size):
        return None
    lens = lens.resized(*size)
    camera = straightened(lens)
    width, height = (max(1, round(side / downscale)) for side in (camera.width, camera.height))
    turns = 0 if transposed else TURNS.get(header.orientation, 0)
    return Photo(path, lens, width, height, transposed, turns, mask)


def _same_shape(lens: Lens, size: tuple[int, int]) -> bool:
    """Whether one is the other, resized. Rounded sides of a small copy change its shape a little."""
    x, y = size[0] / lens.width, size[1] / lens.height
    return abs(x - y) <= 0.02 * max(x, y)


def _read_mask(photo: Photo) -> Image:
    """[H, W] uint8, at the size of the photo's pixels."""
    import cv2

    assert photo.mask is not None
    pixels = read_photo(photo.mask, upright=False)
    # A mask drawn as transparency counts as well as one drawn in black.
    mask = pixels[..., :3].max(-1) if pixels.shape[2] == 3 else np.minimum(pixels[..., :3].max(-1), pixels[..., 3])
    size = (photo.lens.width, photo.lens.height)
    return mask if mask.shape[::-1] == size else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)  # pyright: ignore


def _open(path: Path) -> Any:
    """An image whose header has been read."""
    from PIL import Image, UnidentifiedImageError

    is_heic = path.suffix.lower() in (".heic", ".heif")
    if is_heic and not _register_heif():
        raise SplatError(f"{path} is a HEIC photo; run `pip install pillow-heif` to read it, or save it as JPEG")
    try:
        with warnings.catch_warnings():
            # A photo of more than 90 megapixels is large, not an attack.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path)
    except FileNotFoundError:
        raise SplatError(f"{path} does not exist; check the path") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SplatError(f"{path} is no photo that can be read ({error}); replace or delete it") from error


@lru_cache(maxsize=1)
def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _decoded(path: Path, image: Any) -> Any:
    """The image in mode RGB or RGBA, 8 bits a channel."""
    try:
        image.load()
        if image.mode.startswith("I"):  # 16-bit grey, whose conversion would clip instead of scale.
            wide = np.asarray(image).astype(np.float32)
            image = _like(image, (wide.clip(0, 65535) / 257 + 0.5).astype(np.uint8))
        elif image.mode == "F":
            image = _like(image, (np.asarray(image).clip(0, 1) * 255 + 0.5).astype(np.uint8))
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise SplatError(f"{path} is damaged ({error}); copy it again or delete it") from error


def _like(image: Any, pixels: Image) -> Any:
    """Grey pixels with the EXIF data of an image."""
    from PIL import Image

    out = Image.fromarray(pixels)
    out.info["exif"] = image.getexif().tobytes()
    return out


def _looks_cut(path: Path, kind: str) -> bool:
    """Whether a file lacks the end its format has: cheap, and reason enough to decode it and see."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 64))
        tail = file.read()
        file.seek(0)
        head = file.read(8)
    if kind == "JPEG":
        return not tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if kind == "PNG":
        return b"IEND" not in tail
    return kind == "WEBP" and int.from_bytes(head[4:8], "little") + 8 > size
