"""Lenses: from a direction to the pixel where it is seen, for every camera model that COLMAP has.

u, v are normalised coordinates: x / z and y / z of a direction in camera axes. A model bends them, then
pixel = (fx u + cx, fy v + cy), pixel centres at half-integers.

Source: COLMAP's documentation of its camera models (src/colmap/sensor/models.h); the tests compare with pycolmap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bend = Callable[[Array, Array, tuple[float, ...]], tuple[Array, Array]]


def _padded(coefficients: tuple[float, ...], count: int) -> tuple[float, ...]:
    return coefficients + (0.0,) * (count - len(coefficients))


def _opencv(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """OpenCV's rational model; its simpler kin have the leading coefficients only."""
    k1, k2, p1, p2, k3, k4, k5, k6 = _padded(coefficients, 8)
    r2 = u * u + v * v
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (
        u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u),
        v * radial + 2 * p2 * u * v + p1 * (r2 + 2 * v * v),
    )


def _equidistant(u: Array, v: Array) -> tuple[Array, Array]:
    """Scales (u, v) so that its length is the angle to the optical axis."""
    r = np.hypot(u, v)
    scale = np.where(r > 1e-9, np.arctan(r) / np.maximum(r, 1e-9), 1.0)
    return u * scale, v * scale


def _fisheye(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    k1, k2, k3, k4 = _padded(coefficients, 4)
    u, v = _equidistant(u, v)
    t2 = u * u + v * v
    radial = 1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))
    return u * radial, v * radial


def _thin_prism_fisheye(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    k1, k2, p1, p2, k3, k4, sx1, sy1 = coefficients
    u, v = _equidistant(u, v)
    r2 = u * u + v * v
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    return (
        u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u) + sx1 * r2,
        v * radial + 2 * p2 * u * v + p1 * (r2 + 2 * v * v) + sy1 * r2,
    )


def _rad_tan_thin_prism_fisheye(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """Project Aria's model: radial first, then tangential and thin prism of what came out."""
    k, (p0, p1, s0, s1, s2, s3) = coefficients[:6], coefficients[6:]
    u, v = _equidistant(u, v)
    t2 = u * u + v * v
    radial = 1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * (k[3] + t2 * (k[4] + t2 * k[5])))))
    u, v = u * radial, v * radial
    r2 = u * u + v * v
    return (
        u + 2 * p1 * u * v + p0 * (r2 + 2 * u * u) + r2 * (s0 + r2 * s1),
        v + 2 * p0 * u * v + p1 * (r2 + 2 * v * v) + r2 * (s2 + r2 * s3),
    )


def _fov(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """Devernay and Faugeras' model: the image radius is proportional to an angle."""
    (omega,) = coefficients
    r = np.hypot(u, v)
    if omega * omega < 1e-4:  # The series, where the formula would divide zero by zero; COLMAP's own threshold.
        scale = 1 + omega * omega * (r * r / 3 - 1 / 12)
    else:
        slope = 2 * np.tan(omega / 2)
        scale = np.where(r > 1e-6, np.arctan(r * slope) / (np.maximum(r, 1e-6) * omega), slope / omega)
    return u * scale, v * scale


def _division(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """Fitzgibbon's model, in which the undistorting direction is the simple one. NaN where it sees nothing."""
    (k,) = coefficients
    with np.errstate(invalid="ignore"):
        scale = 2 / (1 + np.sqrt(1 - 4 * k * (u * u + v * v)))
    return u * scale, v * scale


def _eucm(u: Array, v: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """The enhanced unified camera model (Khomutenko et al.)."""
    alpha, beta = coefficients
    scale = 1 / (alpha * np.sqrt(beta * (u * u + v * v) + 1) + 1 - alpha)
    return u * scale, v * scale


class Model(NamedTuple):
    """One of COLMAP's models: how many of its parameters are focal lengths and coefficients, and its formula."""

    name: str
    focals: int
    coefficients: int
    bend: Bend | None

    @property
    def parameters(self) -> int:
        return self.focals + 2 + self.coefficients if self.bend else 2


#: The index is COLMAP's number of the model.
MODELS = (
    Model("SIMPLE_PINHOLE", 1, 0, _opencv),
    Model("PINHOLE", 2, 0, _opencv),
    Model("SIMPLE_RADIAL", 1, 1, _opencv),
    Model("RADIAL", 1, 2, _opencv),
    Model("OPENCV", 2, 4, _opencv),
    Model("OPENCV_FISHEYE", 2, 4, _fisheye),
    Model("FULL_OPENCV", 2, 8, _opencv),
    Model("FOV", 2, 1, _fov),
    Model("SIMPLE_RADIAL_FISHEYE", 1, 1, _fisheye),
    Model("RADIAL_FISHEYE", 1, 2, _fisheye),
    Model("THIN_PRISM_FISHEYE", 2, 8, _thin_prism_fisheye),
    Model("RAD_TAN_THIN_PRISM_FISHEYE", 2, 12, _rad_tan_thin_prism_fisheye),
    Model("SIMPLE_DIVISION", 1, 1, _division),
    Model("DIVISION", 2, 1, _division),
    Model("SIMPLE_FISHEYE", 1, 0, _fisheye),
    Model("FISHEYE", 2, 0, _fisheye),
    Model("EUCM", 2, 2, _eucm),
    Model("EQUIRECTANGULAR", 0, 0, None),
)
BY_NAME = {model.name: model for model in MODELS}


@dataclass(frozen=True)
class Lens:
    """A camera's image size and how it maps directions to pixels.

    Attributes:
        model: a name out of `MODELS`.
        width, height: size of the photo that the numbers below are for, pixels.
        fx, fy, cx, cy: focal lengths and principal point, pixels.
        coefficients: the model's distortion, in COLMAP's order.
        yaw, pitch: where in a panorama the view looks, to the right and down, radians; 0 for every other lens.
    """

    model: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    coefficients: tuple[float, ...] = ()
    yaw: float = 0.0
    pitch: float = 0.0

    @staticmethod
    def from_colmap(model: Model, width: int, height: int, parameters: tuple[float, ...]) -> Lens:
        """From COLMAP's parameter list: one or two focal lengths, the principal point, the coefficients."""
        if model.bend is None:
            return Lens(model.name, width, height, width / (2 * np.pi), height / np.pi, width / 2, height / 2)
        focal = parameters[: model.focals]
        cx, cy = parameters[model.focals : model.focals + 2]
        return Lens(model.name, width, height, focal[0], focal[-1], cx, cy, parameters[model.focals + 2 :])

    @property
    def is_pinhole(self) -> bool:
        return BY_NAME[self.model].bend is _opencv and not any(self.coefficients)

    @property
    def is_panorama(self) -> bool:
        return BY_NAME[self.model].bend is None

    @property
    def distortion(self) -> tuple[float, ...] | None:
        """The coefficients that `splat.cameras.Cameras` takes of such a lens, which `is_fisheye` or not; None where it
        has no place for the model."""
        bend = BY_NAME[self.model].bend
        if bend is _opencv:
            return _padded(self.coefficients, 8)
        return _padded(self.coefficients, 4) if self.is_fisheye else None

    @property
    def is_fisheye(self) -> bool:
        """OpenCV's fisheye, or simpler."""
        return BY_NAME[self.model].bend is _fisheye

    @property
    def view_from_panorama(self) -> Array:
        """[3, 3] rotation to the axes of a view that looks along yaw and pitch."""
        (cy, sy), (cp, sp) = ((np.cos(angle), np.sin(angle)) for angle in (self.yaw, self.pitch))
        return np.array([[cy, 0, -sy], [-sp * sy, cp, -sp * cy], [cp * sy, sp, cp * cy]])

    def resized(self, width: int, height: int) -> Lens:
        """The same lens for a photo of another size; each axis by its actual ratio. The coefficients have no unit."""
        x, y = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y)

    def project(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Pixel coordinates where directions (u, v, 1) are seen; NaN where the model cannot show them."""
        bend = BY_NAME[self.model].bend
        if bend is None:
            x, y, z = np.einsum("ji,j...->i...", self.view_from_panorama, np.stack([u, v, np.ones_like(u)]))
            u, v = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
        else:
            u, v = bend(u, v, self.coefficients)
        return self.fx * u + self.cx, self.fy * v + self.cy
