"""Unit quaternions wxyz in NumPy, float64: what it takes to turn a camera smoothly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def to_matrix(quat: ArrayLike) -> Array:
    """[3, 3] rotation of a quaternion [4] of any length above 0."""
    w, x, y, z = np.asarray(quat, dtype=np.float64) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(rotation: ArrayLike) -> Array:
    """[4] of a rotation matrix [3, 3]: the eigenvector of the largest eigenvalue of Bar-Itzhack's matrix.

    It is the nearest rotation's, where the matrix is a little off one.
    """
    r = np.asarray(rotation, dtype=np.float64)
    k = np.zeros((4, 4))
    k[0] = np.trace(r), r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    k[1:, 0] = k[0, 1:]
    k[1:, 1:] = r + r.T - np.trace(r) * np.eye(3)
    return np.linalg.eigh(k)[1][:, -1]


def product(a: Array, b: Array) -> Array:
    """Hamilton product: first b, then a."""
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    return np.array([scalar, *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])


def inverse(quat: Array) -> Array:
    """Of a unit quaternion."""
    return quat * np.array([1.0, -1.0, -1.0, -1.0])


def exp(vector: Array) -> Array:
    """[4] of a rotation vector [3], radians."""
    half = 0.5 * np.linalg.norm(vector)
    return np.array([np.cos(half), *(0.5 * np.sinc(half / np.pi) * vector)])


def log(quat: Array) -> Array:
    """[3] rotation vector of a unit quaternion, the shorter way round: at most pi long."""
    quat = quat if quat[0] >= 0 else -quat
    sine = np.linalg.norm(quat[1:])
    half = np.arctan2(sine, quat[0])
    return 2 * quat[1:] / np.sinc(half / np.pi)
