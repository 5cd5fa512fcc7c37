"""From the browser's camera to the renderer's and back.

The browser shows a *view space* of its own: +z up, the scene's middle at the origin, its cameras about two units away,
because viser moves at a fixed speed and orbits around +z. The Gaussians stay where they are; only cameras cross.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from splat.cameras import Cameras, focus_point, intrinsics
from splat.quaternions import to_matrix

Array = NDArray[np.float64]

#: Median distance of the cameras from the middle of view space.
RADIUS = 2.0
#: Distance, view space, below which nothing is drawn.
NEAR = 0.02
#: Vertical field of view where no photo gives one, radians.
DEFAULT_FOV = math.radians(50)
#: A pose within these of a photo's is that photo's: sine of the angle, view-space units.
SAME_ROTATION, SAME_POSITION = 0.01, 0.005


@dataclass(frozen=True)
class Pose:
    """A browser's camera in view space, OpenCV axes.

    Attributes:
        wxyz: unit quaternion, view space from camera.
        position: camera centre.
        fov: full vertical field of view, radians.
    """

    wxyz: tuple[float, float, float, float]
    position: tuple[float, float, float]
    fov: float

    @property
    def rotation(self) -> Array:
        """[3, 3], view space from camera: its columns are the camera's right, down and forward."""
        return to_matrix(self.wxyz)


@dataclass(frozen=True)
class Stand:
    """Where to put the browser's orbit camera: view space, as viser wants it."""

    position: Array
    look_at: Array
    up: Array


@dataclass(frozen=True)
class ViewSpace:
    """x_view = scale * rotation @ (x_scene - centre)."""

    rotation: Array
    centre: Array
    scale: float

    @staticmethod
    def of_cameras(viewmats: Array) -> ViewSpace:
        """Up is what was up for the photographer, the middle what was photographed, or where from if that is nothing.

        Args:
            viewmats: [V, 4, 4] camera from scene, V >= 1.
        """
        batch = Cameras(torch.from_numpy(viewmats), torch.eye(3).double().expand(len(viewmats), 3, 3), 1, 1)
        positions, forwards = batch.positions.numpy(), batch.forwards.numpy()
        centre = focus_point(batch).double().numpy()
        # Cameras that look outwards (a room from its middle) have their axes' common point behind them.
        if np.median(((centre - positions) * forwards).sum(1)) <= 0:
            centre = positions.mean(0)
        distance = float(np.median(np.linalg.norm(positions - centre, axis=1)))
        return ViewSpace(upright(-viewmats[:, 1, :3].mean(0)), centre, RADIUS / max(distance, 1e-6))

    @staticmethod
    def of_points(points: Array, up: Sequence[float]) -> ViewSpace:
        """For a scene without cameras: its bulk fills the view.

        Args:
            points: [N, 3], N >= 1.
            up: [3] what is up in the scene.
        """
        centre = np.median(points, axis=0)
        distance = float(np.quantile(np.linalg.norm(points - centre, axis=1), 0.8))
        return ViewSpace(upright(np.asarray(up, dtype=np.float64)), centre, 0.5 * RADIUS / max(distance, 1e-6))

    @property
    def near(self) -> float:
        """NEAR in scene units."""
        return NEAR / self.scale

    @property
    def up(self) -> Array:
        """[3] what is up here, in the scene."""
        return self.rotation[2]

    def with_up(self, up: Array) -> ViewSpace:
        """The same with another direction [3] of the scene upwards."""
        return replace(self, rotation=upright(up))

    def to_view(self, points: Array) -> Array:
        """Points [..., 3] of the scene."""
        return self.scale * (points - self.centre) @ self.rotation.T

    def to_scene(self, points: Array) -> Array:
        """Points [..., 3] of view space."""
        return points @ self.rotation / self.scale + self.centre

    def camera(self, pose: Pose, width: int, height: int) -> Cameras:
        """The scene camera [1] of a browser's pose, for an image of this size."""
        rotation = pose.rotation.T @ self.rotation
        position = self.to_scene(np.asarray(pose.position))
        viewmat = np.eye(4)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ position
        return Cameras(
            torch.from_numpy(viewmat).float()[None], intrinsics(width, height, pose.fov)[None], width, height
        )

    def stand(self, viewmat: Array) -> Stand:
        """Where the browser sees what a scene camera [4, 4] sees, orbiting what is in front of it."""
        rotation, position = self._pose(viewmat)
        right, down, forward = rotation.T
        # The nearest up to the scene's own that keeps the photo's roll; a camera that looks straight down has none.
        up = np.array([0.0, 0.0, 1.0]) - right[2] * right
        if -up @ down < 0.2:
            up = -down
        distance = np.clip(-position @ forward, 0.25 * RADIUS, 4 * RADIUS)
        return Stand(position, position + distance * forward, up / np.linalg.norm(up))

    def is_at(self, pose: Pose, viewmat: Array) -> bool:
        """Whether a browser's pose is that of a scene camera [4, 4]."""
        rotation, position = self._pose(viewmat)
        turned = np.abs(rotation.T @ pose.rotation - np.eye(3)).max()
        moved = np.linalg.norm(position - np.asarray(pose.position))
        return bool(turned < SAME_ROTATION and moved < SAME_POSITION)

    def _pose(self, viewmat: Array) -> tuple[Array, Array]:
        rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
        position = self.scale * self.rotation @ (-rotation.T @ translation - self.centre)
        return self.rotation @ rotation.T, position


def overview() -> Stand:
    """Where to stand when no photo says: in front, a little above, seeing all of view space's middle."""
    position = RADIUS * np.array([0.3, -1.1, 0.5])
    return Stand(position, np.zeros(3), np.array([0.0, 0.0, 1.0]))


def covering_fov(camera: Cameras, aspect: float) -> float:
    """The vertical field of view with which a canvas of this width / height shows all of a camera's image, radians."""
    tan_x = 0.5 * camera.width / float(camera.Ks[0, 0, 0])
    tan_y = 0.5 * camera.height / float(camera.Ks[0, 1, 1])
    return 2 * math.atan(max(tan_y, tan_x / aspect))


def upright(up: Array) -> Array:
    """[3, 3] rotation that takes a direction [3] to +z, by the smallest angle."""
    length = np.linalg.norm(up)
    up = up / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])
    if up[2] < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([up[1], -up[0], 0.0])
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + up[2])
