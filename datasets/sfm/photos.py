"""Which photos are usable, and an upright copy of each in the capture's images/."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from splat.datasets.images import ORIENTATION_TAG, read_header, read_photo
from splat.datasets.sfm.exif import Exif, read_exif
from splat.datasets.threads import in_order
from splat.errors import SplatError
from splat.files import atomic

#: What COLMAP and every other reader of a capture open; other formats are converted to JPEG.
KEPT_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
#: Sharpness is compared at this size (longer side, px), so that it does not depend on the camera's resolution.
SHARPNESS_SIZE = 1024
SHARPNESS_TILE = 32
#: A photo narrower than this says too little about its camera.
MIN_SIZE = 64
#: Grey value from which a pixel is burnt out.
BURNT_OUT = 253

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A usable photo, as it lies in images/.

    Attributes:
        name: relative to images/, without blanks: COLMAP's lists are separated by them.
        source: relative to the folder it came from.
        width, height: px, upright.
        exif: camera, time, position and exposure settings.
        sharpness: see `sharpness`; grey values squared.
        brightness: mean linear luminance in stops; 0 is white.
        clipped: share of pixels that are burnt out.
    """

    name: str
    source: str
    width: int
    height: int
    exif: Exif
    sharpness: float
    brightness: float
    clipped: float


def sharpness(gray: Gray) -> float:
    """Variance of the Laplacian in the sharpest tenth of a photo: a soft background is no blur.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000. Differs: by tiles, at a size
    that all photos share.
    """
    import cv2

    scale = SHARPNESS_SIZE / max(gray.shape)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    squares = cv2.Laplacian(gray, cv2.CV_32F) ** 2
    size = (max(1, gray.shape[1] // SHARPNESS_TILE), max(1, gray.shape[0] // SHARPNESS_TILE))
    return float(np.percentile(cv2.resize(squares, size, interpolation=cv2.INTER_AREA), 90))


def decode(path: Path, flags: int) -> NDArray[np.uint8]:
    """The pixels of a photo in images/, by OpenCV's flags; BGR where they are coloured."""
    import cv2

    # Not cv2.imread: it cannot open every path on Windows.
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    if pixels is None:
        raise SplatError(f"{path} cannot be read any more; run the capture again")
    return pixels.astype(np.uint8)


def brightness(gray: Gray) -> float:
    """Mean linear luminance in stops: 0 for white, -1 for half as much light."""
    levels = (np.arange(256) / 255.0) ** 2.2
    counts = np.bincount(gray.ravel(), minlength=256)
    return float(np.log2(max(counts @ levels / gray.size, 1e-4)))


def names_in_capture(sources: list[str]) -> list[str]:
    """The name each photo gets in images/: its own, unless its format is converted or it has blanks; all different."""
    taken: set[str] = set()
    names = []
    for source in sources:
        path = PurePosixPath("_".join(source.split()))
        kept = path.suffix.lower() in KEPT_SUFFIXES
        name = str(path if kept else path.with_name(path.name + ".jpg"))
        while name.lower() in taken:
            path = path.with_name(f"{path.stem}_{path.suffix}")
            name = str(path if kept else path.with_name(path.name + ".jpg"))
        taken.add(name.lower())
        names.append(name)
    return names


def prepare_photos(
    folder: Path, files: list[Path], images: Path, threads: int, progress: Callable[[int, int], None]
) -> tuple[list[Photo], dict[str, str]]:
    """Copies every usable photo to images/, upright, and measures it.

    Returns:
        The usable photos, and for each other one (by its name in `folder`) why it is not.

    Raises:
        SplatError: images/ cannot be written.
    """
    sources = [file.relative_to(folder).as_posix() for file in files]
    jobs = list(zip(files, sources, names_in_capture(sources), strict=True))

    def inspect(job: tuple[Path, str, str]) -> tuple[Photo, bytes | None] | str:
        try:
            return _inspect(*job)
        except SplatError as error:
            return str(error)

    photos: list[Photo] = []
    left_out: dict[str, str] = {}
    for done, (job, result) in enumerate(zip(jobs, in_order(inspect, jobs, threads), strict=True), 1):
        file, source, name = job
        if isinstance(result, str):
            left_out[source] = result
        else:
            photo, rewritten = result
            with atomic(images / name) as part:
                shutil.copyfile(file, part) if rewritten is None else part.write_bytes(rewritten)
            photos.append(photo)
        progress(done, len(jobs))
    return photos, left_out


def _inspect(file: Path, source: str, name: str) -> tuple[Photo, bytes | None]:
    """Measures a photo, and encodes it anew where it is not upright or of a format that is converted."""
    import cv2

    pixels = read_photo(file, upright=True)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIZE:
        raise SplatError(f"{file} is {width} x {height}: too small to place; use photos of {MIN_SIZE} px and more")
    gray = cv2.cvtColor(pixels[..., :3], cv2.COLOR_RGB2GRAY).astype(np.uint8)
    clipped = float((gray >= BURNT_OUT).mean())
    photo = Photo(name, source, width, height, read_exif(file), sharpness(gray), brightness(gray), clipped)
    is_kept = file.suffix.lower() in KEPT_SUFFIXES and read_header(file).orientation == 1
    return photo, None if is_kept else _encode(pixels, file, name)


def _encode(pixels: NDArray[np.uint8], file: Path, name: str) -> bytes:
    """Upright pixels with the EXIF data and colour profile of the original."""
    from PIL import Image

    with Image.open(file) as original:
        tags, profile = original.getexif(), original.info.get("icc_profile")
    tags.pop(ORIENTATION_TAG, None)
    kind = {".png": "PNG", ".webp": "WEBP"}.get(PurePosixPath(name).suffix.lower(), "JPEG")
    if kind == "JPEG":
        pixels = pixels[..., :3]
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=95, subsampling=0, exif=tags.tobytes(), icc_profile=profile)
    return buffer.getvalue()
