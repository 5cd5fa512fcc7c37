"""Made-up photos: files with a texture and the EXIF that a camera would write."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def texture(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """[H, W, 3] uint8 blobs that SIFT finds features on."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return ((blobs - blobs.min()) / (blobs.max() - blobs.min()) * 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **tags: object) -> Path:
    """A JPEG with EXIF: orientation, make, focal, focal35, time, iso, exposure, f_number, gps."""
    exif = Image.Exif()
    places = {"orientation": 0x0112, "make": 0x010F}
    details = {
        "focal": 0x920A,
        "focal35": 0xA405,
        "time": 0x9003,
        "iso": 0x8827,
        "exposure": 0x829A,
        "f_number": 0x829D,
    }
    exif.update({places[key]: value for key, value in tags.items() if key in places})
    exif.get_ifd(0x8769).update({details[key]: value for key, value in tags.items() if key in details})
    if "gps" in tags:
        exif.get_ifd(0x8825).update(tags["gps"])  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=92, exif=exif)
    return path
