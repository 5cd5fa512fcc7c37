"""What a scene and its training may cost, in a person's words, and what that means in Gaussians and steps.

Arithmetic only: `splat.train.plan` measures what it takes to fill it in, and puts the results into a run's settings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from splat.errors import SplatError

_BYTES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_NUMBER = r"(\d+(?:\.\d+)?)"
_SIZE = re.compile(rf"{_NUMBER}\s*([kmgt]?)(i?)b", re.I)
_DURATION = re.compile(rf"(?:{_NUMBER}\s*h)?\s*(?:{_NUMBER}\s*(?:min|m))?\s*(?:{_NUMBER}\s*s)?", re.I)


def parse_bytes(text: str) -> int:
    """Bytes of 900kB, 15MB, 1.5 GB (powers of 1000) or 15MiB (of 1024); case does not matter.

    Raises:
        SplatError: it is no size, or has no unit.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise SplatError(f"{text!r} is no size; write it like 15MB or 1.5GiB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _BYTES[match[2].lower()])


def parse_seconds(text: str) -> float:
    """Seconds of 90s, 5min, 1.5h or 1h30m.

    Raises:
        SplatError: it is no duration, or has no unit.
    """
    match = _DURATION.fullmatch(text.strip())
    parts = [] if match is None else [float(part or 0) for part in match.groups()]
    if match is None or not any(match.groups()) or not math.isfinite(sum(parts)):
        raise SplatError(f"{text!r} is no duration; write it like 90s, 5min or 1h30m")
    return sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))


@dataclass(frozen=True)
class Budget:
    """What a scene and its training may cost at most. Training chooses whatever of its settings nobody has set, so that
    all of it is kept."""

    target_size: str | None = None
    """Size of scene.ply, such as 15MB or 15MiB."""
    target_vram: str | None = None
    """GPU memory for training, such as 6GB; on a CPU it has no effect."""
    target_device: Literal["phone", "headset", "desktop"] | None = None
    """What the scene is to be shown on: at most 1,000,000, 500,000 or 2,500,000 Gaussians."""
    target_time: str | None = None
    """Time for training on this machine, such as 90s, 5min or 1h30m; captures, evaluations and files come on top."""

    def __post_init__(self) -> None:
        # A wrong word stops at once, not when it is first asked for.
        _ = self.size, self.vram, self.seconds

    def __bool__(self) -> bool:
        return self != Budget()

    @property
    def size(self) -> int | None:
        """Bytes of the scene's file."""
        return None if self.target_size is None else parse_bytes(self.target_size)

    @property
    def vram(self) -> int | None:
        """Bytes of GPU memory."""
        return None if self.target_vram is None else parse_bytes(self.target_vram)

    @property
    def seconds(self) -> float | None:
        """Of training."""
        return None if self.target_time is None else parse_seconds(self.target_time)


#: Gaussians that a device shows fluently: budgets of Spark 2's viewer for Android (iOS: 1,500,000), Quest (Vision Pro:
#: 750,000) and desktops. They count Gaussians of any SH degree.
DEVICES = {"phone": 1_000_000, "headset": 500_000, "desktop": 2_500_000}


@dataclass(frozen=True)
class FileCost:
    """Bytes of a scene file.

    Attributes:
        per_gaussian: by SH degree.
        rest: what does not depend on their number, at most.
    """

    per_gaussian: dict[int, float]
    rest: int

    def gaussians(self, size: int, sh_degree: int) -> int:
        """How many fit into `size` bytes."""
        return max(0, int((size - self.rest) / self.per_gaussian[sh_degree]))


#: By file format. PLY: 14 numbers and three a coefficient, in float32; a header of 2.2 KB at degree 4.
FILE_COSTS = {"ply": FileCost({0: 68, 1: 104, 2: 164, 3: 248, 4: 356}, 2_300)}


def fit_size(size: int, degrees: Sequence[int], wanted: float, file_format: str = "ply") -> tuple[int, int]:
    """The most Gaussians that fit into a file, and of which degree: the first of `degrees` that has room for `wanted`
    Gaussians, or else the last."""
    cost = FILE_COSTS[file_format]
    degree = next((degree for degree in degrees if cost.gaussians(size, degree) >= wanted), degrees[-1])
    return cost.gaussians(size, degree), degree
