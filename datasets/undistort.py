"""Straightening photos: the pinhole camera that sees only what a bent lens saw, and the map between the two.

Only the forward direction of the lens is used (pinhole pixel -> direction -> photo pixel), so nothing is inverted.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splat.datasets.lens import Lens
from splat.errors import SplatError

#: A straightened photo shows at most 60 degrees off the axis up, down, left and right: beyond, a pinhole image is
#: mostly stretched border.
MAX_SLOPE = math.tan(math.radians(60))
#: How far off the axis the valid region is searched: its corners reach beyond its sides.
MAX_ANGLE = math.radians(80)


@lru_cache(maxsize=4096)
def straightened(lens: Lens) -> Lens:
    """The pinhole lens of a photo once straightened, cropped so that every pixel comes from inside the photo.

    It keeps the focal lengths, so the middle of the photo keeps its scale.

    Raises:
        SplatError: the lens shows nothing along its own axis.
    """
    if lens.is_pinhole:
        return lens
    if lens.is_panorama:  # A face of a cube: a quarter of the horizon.
        side = max(1, int(2 * lens.fx))
        return Lens("PINHOLE", side, side, side / 2, side / 2, side / 2, side / 2)
    right, left, down, up = np.minimum(_reach(lens, np.array([0.0, np.pi, np.pi / 2, -np.pi / 2])), MAX_SLOPE)
    # The rectangle that touches the valid region along the axes may stick out at its corners: shrink it until it fits.
    along = np.linspace(0, 1, 33)
    sides = [np.stack([-left + along * (left + right), np.full_like(along, edge)], -1) for edge in (-up, down)] + [
        np.stack([np.full_like(along, edge), -up + along * (up + down)], -1) for edge in (-left, right)
    ]
    border = np.concatenate(sides)
    lengths = np.maximum(np.hypot(*border.T), 1e-12)
    fit = min(1.0, float((_reach(lens, np.arctan2(border[:, 1], border[:, 0])) / lengths).min()))
    width, height = int(lens.fx * fit * (left + right)), int(lens.fy * fit * (up + down))
    if width < 1 or height < 1:
        raise SplatError(
            f"a {lens.model} camera of {lens.width} x {lens.height} px shows nothing along its axis: its principal "
            "point or distortion is wrong; reconstruct the scene again"
        )
    return Lens("PINHOLE", width, height, lens.fx, lens.fy, lens.fx * fit * left, lens.fy * fit * up)


def _reach(lens: Lens, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far (tangent of the angle off the axis) one can go in each direction [D] and still be inside the photo.

    Going stops as well where the pixel moves back towards the centre: there the model has left its meaning.
    """
    cos, sin = np.cos(directions), np.sin(directions)

    def seen(slope: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        with np.errstate(all="ignore"):
            x, y = lens.project(slope * cos, slope * sin)
            inside = (x >= 0) & (x <= lens.width) & (y >= 0) & (y <= lens.height)
        return inside, np.hypot(x - lens.cx, y - lens.cy)

    slopes = np.tan(np.linspace(0, MAX_ANGLE, 161))[:, None]
    inside, distances = seen(slopes)
    valid = inside & np.concatenate([np.ones_like(inside[:1]), np.diff(distances, axis=0) > 0])
    steps = np.where(valid.all(0), len(slopes), valid.argmin(0))
    low = slopes[np.maximum(steps - 1, 0), 0] * (steps > 0)
    high = slopes[np.minimum(steps, len(slopes) - 1), 0]
    for _ in range(40):
        middle = (low + high) / 2
        inside, distances = seen(middle)
        good = inside & (distances >= seen(low)[1])
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low


@lru_cache(maxsize=2)
def photo_from_straightened(lens: Lens) -> NDArray[np.float32]:
    """[H, W, 2]: where in the photo each pixel of the straightened image is, in cv2.remap's coordinates.

    cv2 counts from the centre of the first pixel, so these are half a pixel less than ours. Few are kept: a map takes
    8 bytes a pixel, and most captures have one lens.
    """
    camera = straightened(lens)
    u = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    v = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    out = np.empty((camera.height, camera.width, 2), np.float32)
    for row in range(0, camera.height, 64):  # In strips, so that the float64 intermediates stay in the cache.
        x, y = lens.project(*np.broadcast_arrays(u, v[row : row + 64, None]))
        out[row : row + 64, :, 0], out[row : row + 64, :, 1] = x - 0.5, y - 0.5
    return out
