"""Photo files: what a header tells, and their pixels."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splat.errors import SplatError

Pixels = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp")
ORIENTATION_TAG = 0x0112
#: What Pillow raises for pixels that cannot be decoded.
DAMAGE = (OSError, ValueError, SyntaxError, EOFError)
#: EXIF orientation -> whether to mirror left and right, then how many quarter turns clockwise, to set it upright.
UPRIGHT = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 3), 6: (False, 1), 7: (True, 1), 8: (False, 3)}


class Header(NamedTuple):
    """Size of the pixels as stored, and the EXIF orientation (1 = upright)."""

    width: int
    height: int
    orientation: int


def find_photos(folder: Path) -> list[Path]:
    """Every photo in a folder and its subfolders, sorted; hidden ones left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def read_header(path: Path) -> Header:
    """Reads size and orientation without decoding.

    Raises:
        SplatError: the photo is missing or of an unknown format.
    """
    with _open(path) as image:
        return Header(image.width, image.height, _orientation(path, image))


def is_whole(path: Path) -> bool:
    """Whether a photo can be decoded, found out as cheaply as its format allows.

    Raises:
        SplatError: as `read_header`.
    """
    with _open(path) as image:
        try:
            if image.format == "PNG":
                image.verify()  # Its checksums.
            else:
                image.draft(None, (1, 1))  # A JPEG comes at an eighth of its size, several times faster.
                image.load()
        except DAMAGE:
            return False
    return True


def read_photo(path: Path, *, upright: bool) -> Pixels:
    """Decodes a photo to [H, W, 3] or, where it has transparency, [H, W, 4] uint8 (straight alpha).

    Args:
        upright: set the photo upright by its EXIF orientation; otherwise the pixels come as they are stored.

    Raises:
        SplatError: as `read_header`, or the photo is damaged.
    """
    from PIL import ImageOps

    with _open(path) as image:
        pixels = _decoded(path, image)
        # A copy, since the pixels of a PIL image must not be written to and torch warns about that.
        return np.array(ImageOps.exif_transpose(pixels) if upright else pixels)


def _open(path: Path) -> Any:
    """An image whose header has been read."""
    from PIL import Image, UnidentifiedImageError

    is_heic = path.suffix.lower() in (".heic", ".heif")
    if is_heic and not _register_heif():
        raise SplatError(f"{path} is a HEIC photo; run `pip install pillow-heif` to read it, or save it as JPEG")
    # A photo of more than 90 megapixels is large, not an attack. For good: filters belong to all threads; to restore
    # them on one that decodes would undo what another has set meanwhile.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
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
    from PIL import Image

    try:
        image.load()
        if image.mode.startswith("I"):  # 16-bit grey, whose conversion would clip instead of scale.
            wide = np.asarray(image).astype(np.float32)
            image = Image.fromarray((wide.clip(0, 65535) / 257 + 0.5).astype(np.uint8))
        elif image.mode == "F":
            image = Image.fromarray((np.asarray(image).clip(0, 1) * 255 + 0.5).astype(np.uint8))
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")
    except DAMAGE as error:
        raise SplatError(f"{path} is damaged ({error}); copy it again or delete it") from error


def _orientation(path: Path, image: Any) -> int:
    # Pillow looks for a PNG's EXIF behind its pixels, which means to decode them; there it is no camera's.
    orientation = 1 if image.format == "PNG" else image.getexif().get(ORIENTATION_TAG, 1)
    if image.format == "TIFF" and orientation != 1:
        # Pillow turns TIFFs while it decodes them, and garbles some on their side.
        raise SplatError(f"{path} is a TIFF with an orientation tag; save it upright, or as JPEG or PNG")
    return orientation
