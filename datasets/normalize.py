"""A scene's own frame: what the cameras look at is the origin, up is -y, the cameras are about 1 away.

Rates and thresholds of training are stated in world units, so they mean the same in every capture once it stands so.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from splat.cameras import Cameras, focus_point

Array = NDArray[np.float64]
UP = np.array([0.0, -1.0, 0.0])


def similarity_from_cameras(cam_from_world: Array, points: Array) -> Array:
    """[4, 4] normalised-from-world.

    Args:
        cam_from_world: [V, 4, 4] rigid, OpenCV axes.
        points: [P, 3] world; P may be 0.
    """
    rotations = cam_from_world[:, :3, :3]
    positions = -np.einsum("vji,vj->vi", rotations, cam_from_world[:, :3, 3])
    centre = _centre(cam_from_world, positions, points)
    distance = np.median(np.linalg.norm(positions - centre, axis=1))
    if not distance > 0:  # Every photo from one spot: nothing but the points can give a scale.
        distance = np.median(np.linalg.norm(points - centre, axis=1)) if len(points) else 1.0
    out = np.eye(4)
    out[:3, :3] = _rotation_between(_up(rotations), UP) / (distance or 1.0)
    out[:3, 3] = -out[:3, :3] @ centre
    return out


def moved_poses(similarity: Array, cam_from_world: Array) -> Array:
    """The poses [V, 4, 4] in the world that a similarity leads to: rigid again, the scale goes into the offset."""
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    moved = cam_from_world @ np.linalg.inv(similarity)
    moved[:, :3, :] *= scale
    return moved


def extent(positions: Array) -> float:
    """1.1 times the largest distance of a training camera [V, 3] from their mean (Kerbl et al.'s scene extent)."""
    distances = np.linalg.norm(positions - positions.mean(0), axis=1)
    return 1.1 * float(distances.max()) or 1.0


def plausible(points: Array) -> NDArray[np.bool_]:
    """[P] bool: finite, and not among the few that triangulation threw far away."""
    keep = np.asarray(np.isfinite(points).all(1))
    if not keep.any():
        return keep
    finite = points[keep]
    distances = np.linalg.norm(finite - np.median(finite, axis=0), axis=1)
    # Outdoors the far background is real, so only what lies well beyond nearly everything else goes.
    keep[keep] = distances <= 5 * np.quantile(distances, 0.99)
    return keep


def _centre(cam_from_world: Array, positions: Array, points: Array) -> Array:
    """What the cameras look at, or the middle of the points where they look at nothing in common."""
    count = len(cam_from_world)
    cameras = Cameras(torch.from_numpy(cam_from_world), torch.eye(3, dtype=torch.float64).expand(count, 3, 3), 1, 1)
    focus = focus_point(cameras).numpy()
    in_front = np.einsum("vi,vi->v", focus - positions, cam_from_world[:, 2, :3]) > 0
    middle = np.median(points, axis=0) if len(points) else None
    spread = np.linalg.norm(positions - np.median(positions, axis=0), axis=1).max()
    far = np.linalg.norm(focus - positions.mean(0)) > 20 * spread
    if in_front.mean() > 0.5 and not far:
        return focus
    return middle if middle is not None else positions.mean(0)


def _up(rotations: Array) -> Array:
    """The direction that photographers held up.

    A level camera's x axis is horizontal, whether it looks ahead or down: up is the direction across all x axes. Where
    they do not settle it (all photos taken in one direction), the cameras' own up decides, as it decides the sign.
    """
    x_axes, ups, backs = rotations[:, 0], -rotations[:, 1].mean(0), -rotations[:, 2].mean(0)
    scatter = x_axes.T @ x_axes / len(x_axes) - 0.05 * np.outer(ups, ups)
    up: Array = np.linalg.eigh(scatter)[1][:, 0]
    # A camera that looks straight down has its up in the horizon; then up is where its back points.
    votes = up @ ups + up @ backs if abs(up @ ups) < 0.3 else up @ ups
    return up if votes >= 0 else -up


def _rotation_between(a: Array, b: Array) -> Array:
    """[3, 3], the smallest rotation that takes unit vector a to b."""
    cos = float(a @ b)
    cross: Array = np.cross(a, b)
    if cos < -1 + 1e-9:  # Opposite: half a turn about any axis across them.
        axis = np.cross(a, np.eye(3)[int(np.abs(a).argmin())])
        axis /= np.linalg.norm(axis)
        return np.asarray(2 * np.outer(axis, axis) - np.eye(3), np.float64)
    skew: Array = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cos)
