"""What a camera wrote beside the pixels, as far as a capture asks for it."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

from splat.datasets.images import ORIENTATION_TAG

MAKE, MODEL, DATE_TIME = 0x010F, 0x0110, 0x0132
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
EXPOSURE_TIME, F_NUMBER, ISO = 0x829A, 0x829D, 0x8827
DATE_TIME_ORIGINAL, SUBSECONDS = 0x9003, 0x9291
FOCAL_LENGTH, FOCAL_LENGTH_35MM = 0x920A, 0xA405
METRES_PER_DEGREE = 111_320.0


class Exif(NamedTuple):
    """Attributes:
    camera: what photos must share to share intrinsics: make, model, focal length, its 35 mm equivalent, orientation.
    time: "YYYY:MM:DD hh:mm:ss.fraction", which sorts as it reads; "" if unknown.
    position: where GPS says it stood: latitude and longitude in degrees, altitude in metres (0 if unknown).
    exposure: what the exposure settings let in, in stops; None if unknown. More is brighter.
    """

    camera: tuple[str, str, float, float, int] = ("", "", 0.0, 0.0, 1)
    time: str = ""
    position: tuple[float, float, float] | None = None
    exposure: float | None = None


def read_exif(path: Path) -> Exif:
    """Reads EXIF; what is absent or damaged stays at its default."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            tags = image.getexif()
            details, gps = tags.get_ifd(EXIF_IFD), tags.get_ifd(GPS_IFD)
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, struct.error):
        return Exif()
    camera = (
        _text(tags.get(MAKE)),
        _text(tags.get(MODEL)),
        _number(details.get(FOCAL_LENGTH)),
        _number(details.get(FOCAL_LENGTH_35MM)),
        int(_number(tags.get(ORIENTATION_TAG)) or 1),
    )
    return Exif(camera, _time(tags, details), _position(gps), _exposure(details))


def metres(positions: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """GPS positions as east, north, up in metres from the first: flat-earth, good to a per cent over kilometres."""
    latitude0, longitude0, altitude0 = positions[0]
    shrink = math.cos(math.radians(latitude0))
    return [
        ((lon - longitude0) * shrink * METRES_PER_DEGREE, (lat - latitude0) * METRES_PER_DEGREE, alt - altitude0)
        for lat, lon, alt in positions
    ]


def _text(value: Any) -> str:
    return value.replace("\0", " ").strip() if isinstance(value, str) else ""


def _number(value: Any) -> float:
    """A finite number >= 0; 0 for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _time(tags: Any, details: dict[int, Any]) -> str:
    time = _text(details.get(DATE_TIME_ORIGINAL)) or _text(tags.get(DATE_TIME))
    # Cameras without a set clock write zeros or blanks.
    if not time[:4].isdigit() or int(time[:4]) == 0:
        return ""
    return f"{time}.{_text(details.get(SUBSECONDS))}"


def _position(gps: dict[int, Any]) -> tuple[float, float, float] | None:
    if not (gps.get(2) and gps.get(4)):
        return None
    try:
        latitude, longitude = (sum(float(part) / 60**i for i, part in enumerate(gps[tag])) for tag in (2, 4))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    south, west = _text(gps.get(1)).upper() == "S", _text(gps.get(3)).upper() == "W"
    altitude = _number(gps.get(6)) * (-1 if gps.get(5) in (1, b"\1") else 1)
    position = (-latitude if south else latitude, -longitude if west else longitude, altitude)
    # 0, 0 is what a receiver without a fix writes.
    return position if all(map(math.isfinite, position)) and (latitude or longitude) else None


def _exposure(details: dict[int, Any]) -> float | None:
    iso = details.get(ISO)
    iso = _number(iso[0] if isinstance(iso, tuple) and iso else iso) or 100.0
    time, f_number = _number(details.get(EXPOSURE_TIME)), _number(details.get(F_NUMBER))
    return math.log2(time * iso / 100 / f_number**2) if time and f_number else None
