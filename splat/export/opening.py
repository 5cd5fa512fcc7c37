"""How a page begins: from where the scene is first seen, which way is up, and the camera's flight until somebody takes
over. All in the world of the scene file; `Opening.placed` moves it to the page's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.cameras import Cameras, focus_point, intrinsics, look_at
from splat.evaluate.orbits import cameras_around
from splat.flight import Flight
from splat.gaussians import Gaussians
from splat.render import render

Array = NDArray[np.float64]

#: Captures look inwards if, at the mean, their axes point to their common point to within this cosine.
INWARDS = 0.7
#: The gentle flight: radians to either side, and up and down, and seconds for one period of it.
SWAY, NOD, PERIOD = math.radians(16), math.radians(4), 18.0
#: Keys of a flight a second, frames a second that the viewer counts its time in, and the most keys that it takes.
KEY_RATE, FRAME_RATE, MOST_KEYS = 8, 30, 1000
#: Degrees of field of view that the viewer takes.
LEAST_FOV, MOST_FOV = 10.0, 120.0
#: The longer side of phones over the other.
NARROWEST = 2.2
#: Side of the small picture by whose depths the point in the middle is found, px.
PROBE = 64


@dataclass(frozen=True)
class Opening:
    """The first view.

    Attributes:
        position: [3] camera centre.
        focus: [3] what is in the picture's middle, about which it turns.
        up: [3] unit vector.
        fov: full field of view along the longer side of the picture, radians. A screen's longer side shows that much,
            or more, so that its shorter one shows what the picture's does.
        aspect: that side over the other.
        explore: "orbit" about the focus, for what was walked around, or "fly", for what surrounds the camera.
    """

    position: Array
    focus: Array
    up: Array
    fov: float
    aspect: float
    explore: Literal["orbit", "fly"] = "orbit"

    @staticmethod
    def of(gaussians: Gaussians, cameras: Sequence[Cameras] = (), up: Array | None = None) -> Opening:
        """What the first camera sees; the others say where up and the middle of everything are.

        Args:
            cameras: views of the scene, batches of any sizes; without any, it is looked at from outside.
            up: [3] unit vector, if it is known.

        Raises:
            SplatError: there is neither a camera nor a Gaussian.
        """
        batches = list(cameras) or [cameras_around(gaussians)]
        first = batches[0][0].to("cpu")
        axes = Cameras(torch.cat([batch.viewmats.cpu() for batch in batches]).double(), *_any_lens(batches))
        forward, position = axes.forwards[0], axes.positions[0]
        common = focus_point(axes)
        towards = torch.nn.functional.normalize(common - axes.positions, dim=-1)
        inwards = len(axes) > 2 and float((towards * axes.forwards).sum(-1).mean()) > INWARDS
        distance = (common - position) @ forward
        if not inwards or distance <= 0:
            distance = _depth(gaussians, first)
        if up is None:
            up = torch.nn.functional.normalize(-axes.viewmats[:, 1, :3].mean(0), dim=0).numpy()
        fov, aspect = _field(first)
        outwards = len(axes) > 2 and not inwards
        return Opening(
            position.numpy(),
            (position + distance * forward).numpy(),
            up,
            fov,
            aspect,
            "fly" if outwards else "orbit",
        )

    @property
    def levelling(self) -> Array:
        """[3, 3] the smallest rotation that turns up to -y, where the page's viewer has it (PLY's axes)."""
        axis, cosine = np.cross(self.up, [0.0, -1.0, 0.0]), -float(self.up[1])
        if np.linalg.norm(axis) < 1e-9:
            return np.eye(3) if cosine > 0 else np.diag([1.0, -1.0, -1.0])
        cross = np.cross(np.eye(3), axis)  # cross @ v = axis x v
        return np.eye(3) + cross + cross @ cross / (1 + cosine)

    def placed(self, points: Array) -> Array:
        """Points [..., 3] of the scene file in the page's viewer, which levels the scene and has y up."""
        return points @ self.levelling.T * [-1.0, -1.0, 1.0]

    @property
    def widest(self) -> float:
        """By how much more (its tangent) the longer side of the narrowest screen shows than `fov`."""
        return max(1.0, NARROWEST / self.aspect)

    def square(self, side: int) -> Cameras:
        """The first view on a square picture, which holds every screen's."""
        K = intrinsics(side, side, 2 * math.atan(self.widest * math.tan(0.5 * self.fov)))
        position, focus, up = (torch.from_numpy(value).float() for value in (self.position, self.focus, self.up))
        return Cameras(look_at(position, focus, up)[None], K[None], side, side)

    def pose(self) -> dict[str, Any]:
        """The first view as the viewer's settings have it."""
        return {
            "position": _rounded(self.placed(self.position)),
            "target": _rounded(self.placed(self.focus)),
            "fov": _degrees(self.fov),
        }

    def track(self, flight: Flight | None) -> dict[str, Any]:
        """A flight as the viewer's settings have it; a gentle one about the first view if None."""
        if flight is None or not flight.duration > 0.1:
            times = [index / KEY_RATE for index in range(round(PERIOD * KEY_RATE))]
            moments = [self._swaying(2 * math.pi * time / PERIOD) for time in times]
            duration, loops = PERIOD, True
        else:
            count = min(MOST_KEYS, max(2, math.ceil(flight.duration * KEY_RATE)))
            loops, duration = flight.loop and len(flight.keys) > 1, flight.duration
            # The last of a loop is the one before the first comes again.
            times = np.linspace(0, duration, count, endpoint=not loops).tolist()
            moments = [self._at(flight, time) for time in times]
        return {
            "name": "flight",
            "duration": duration,
            "frameRate": FRAME_RATE,
            "loopMode": "repeat" if loops else "none",
            "interpolation": "spline",
            "smoothness": 1,
            "keyframes": {
                "times": [round(FRAME_RATE * time, 3) for time in times],
                "values": {
                    "position": sum((_rounded(self.placed(position)) for position, _, _ in moments), []),
                    "target": sum((_rounded(self.placed(target)) for _, target, _ in moments), []),
                    "fov": [_degrees(fov) for _, _, fov in moments],
                },
            },
        }

    def _swaying(self, phase: float) -> tuple[Array, Array, float]:
        """Position, target and field of view of the gentle flight; the first view at phase 0."""
        arm = self.position - self.focus
        pivot = self.focus
        if self.explore == "fly":
            arm, pivot = -arm, self.position
        side = np.cross(self.up, arm)
        length = np.linalg.norm(side)
        arm = _turned(arm, self.up, SWAY * math.sin(phase))
        if length > 1e-9:
            arm = _turned(arm, np.cross(self.up, arm) / length, NOD * 0.5 * (math.cos(2 * phase) - 1))
        moved = pivot + arm
        return (self.position, moved, self.fov) if self.explore == "fly" else (moved, self.focus, self.fov)

    def _at(self, flight: Flight, time: float) -> tuple[Array, Array, float]:
        """Position, target and field of view of a flight."""
        view = flight.at(time)
        position, forward = -view.viewmat[:3, :3].T @ view.viewmat[:3, 3], view.viewmat[2, :3]
        # Whoever stops it turns about what is as far away as the focus.
        away = float(np.linalg.norm(self.focus - position))
        distance = max(float((self.focus - position) @ forward), 0.1 * away, 1e-3)
        return position, position + distance * forward, 2 * math.atan(self.aspect * math.tan(0.5 * view.fov))


def _any_lens(batches: list[Cameras]) -> tuple[Tensor, int, int]:
    """Lenses for cameras of which only the poses are asked."""
    count = sum(len(batch) for batch in batches)
    return torch.eye(3, dtype=torch.float64).expand(count, 3, 3), 1, 1


def _field(camera: Cameras) -> tuple[float, float]:
    """Field of view along the longer side, radians, and that side over the other."""
    K, longer = camera.Ks[0], max(camera.width, camera.height)
    aspect = longer / min(camera.width, camera.height)
    if camera.model == "ortho":
        return math.radians(50), aspect
    half = 0.5 * longer / float(K[0, 0] if camera.width >= camera.height else K[1, 1])
    fov = 2 * half if camera.model == "fisheye" else 2 * math.atan(half)
    return min(max(fov, math.radians(LEAST_FOV)), math.radians(MOST_FOV)), aspect


def _depth(gaussians: Gaussians, camera: Cameras) -> float:
    """How far away what is in the middle of a view is: its median there, and 1 where nothing is."""
    with torch.no_grad():
        depths = render(
            gaussians, camera.resized(PROBE, PROBE).to(gaussians.device), sh_degree=0, depth=True
        ).median_depth
    assert depths is not None
    quarter = slice(3 * PROBE // 8, 5 * PROBE // 8)
    middle = depths[0, quarter, quarter]
    return float(middle[middle > 0].median()) if bool((middle > 0).any()) else 1.0


def _turned(vector: Array, axis: Array, angle: float) -> Array:
    """A vector turned about a unit axis (Rodrigues)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * vector + sine * np.cross(axis, vector) + (1 - cosine) * (axis @ vector) * axis


def _degrees(fov: float) -> float:
    return round(min(max(math.degrees(fov), LEAST_FOV), MOST_FOV), 4)


def _rounded(point: Array) -> list[float]:
    """Seven digits, which is what the viewer computes with."""
    return [float(f"{value:.7g}") for value in point]
