"""flight.json: a camera's flight, in the world of a scene file."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from splat.errors import SplatError
from splat.flight import EASINGS, Easing, Flight, Key, Vector

VERSION = 1
#: What no flight by a person exceeds: keys, seconds between two, and degrees of field of view.
MOST_KEYS, MOST_SECONDS, LEAST_SECONDS = 1000, 3600.0, 0.01
LEAST_FOV, MOST_FOV = 1.0, 170.0


def to_json(flight: Flight) -> str:
    """{"version", "easing", "loop", "look_at" [3] or null, "keys": [{"position" [3], "wxyz" [4], "fov", "travel",
    "hold"}]}, all as of `Flight` and `Key` but for the field of view, which is in degrees."""
    keys = [
        {
            "position": key.position,
            "wxyz": key.wxyz,
            "fov": math.degrees(key.fov),
            "travel": key.travel,
            "hold": key.hold,
        }
        for key in flight.keys
    ]
    values = {"version": VERSION, "easing": flight.easing, "loop": flight.loop, "look_at": flight.look_at, "keys": keys}
    return json.dumps(values, indent=1)


def from_json(content: str | bytes, name: str) -> Flight:
    """Reads what `to_json` wrote.

    Args:
        name: what to call it in errors.

    Raises:
        SplatError: it holds no flight.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SplatError(f"{name} is not JSON: it may be cut short, save or download it again.") from error
    return from_object(values, name)


def from_object(values: Any, name: str) -> Flight:
    """As `from_json`, from what JSON has already been read."""
    if not isinstance(values, dict) or not isinstance(values.get("keys"), list):
        raise SplatError(f'{name} holds no camera flight (a list "keys"): choose a file that the Path tab saved.')
    if values.get("version") != VERSION:
        raise SplatError(f"{name} is of version {values.get('version')!r}, not {VERSION}: update Splat to read it.")
    keys = values["keys"]
    if len(keys) > MOST_KEYS:
        raise SplatError(f"{name} has {len(keys)} keys, and {MOST_KEYS} are the most: leave some out.")
    easing, loop, look_at = values.get("easing", EASINGS[0]), values.get("loop", False), values.get("look_at")
    try:
        if easing not in EASINGS:
            raise ValueError(f"easing is none of {', '.join(EASINGS)}")
        if not isinstance(loop, bool):
            raise ValueError("loop is neither true nor false")
        target = None if look_at is None else cast(Vector, _numbers(look_at, 3, "look_at"))
        read = []
        for position, key in enumerate(keys, start=1):
            read.append(_key(key, f"key {position}"))
    except ValueError as error:
        raise SplatError(f"{name} holds no camera flight: {error}. Correct it or choose another file.") from error
    return Flight(tuple(read), cast(Easing, easing), loop, target)


def _key(values: Any, name: str) -> Key:
    if not isinstance(values, dict):
        raise ValueError(f"{name} is not an object")
    position = cast(Vector, _numbers(values.get("position"), 3, f"position of {name}"))
    w, x, y, z = _numbers(values.get("wxyz"), 4, f"wxyz of {name}")
    length = math.hypot(w, x, y, z)
    if not 0.5 < length < 2:
        raise ValueError(f"wxyz of {name} is no unit quaternion")
    fov = _within(values.get("fov"), LEAST_FOV, MOST_FOV, f"fov of {name}")
    travel = _within(values.get("travel"), LEAST_SECONDS, MOST_SECONDS, f"travel of {name}")
    hold = _within(values.get("hold", 0), 0.0, MOST_SECONDS, f"hold of {name}")
    return Key(position, (w / length, x / length, y / length, z / length), math.radians(fov), travel, hold)


def _numbers(values: Any, count: int, name: str) -> tuple[float, ...]:
    """A list of so many numbers that a scene can have for coordinates."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{name} is no list of {count} numbers")
    return tuple(_within(value, -1e9, 1e9, name) for value in values)


def _within(value: Any, least: float, most: float, name: str) -> float:
    # A comparison with NaN is false; true and false are integers to Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} is no number from {least:g} to {most:g}")
    return float(value)
