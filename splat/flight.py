"""A camera's flight through a scene: the keys that it passes, and where it is between them.

Positions and zoom are cubic Hermite curves through the keys with Catmull-Rom's tangents for uneven times, rotations the
same on the sphere of quaternions. So nothing jumps at a key, neither the camera nor, where it does not rest, its speed.

Source:
    Catmull & Rom, "A class of local interpolating splines", 1974. Kim, Kim & Shin, "A general construction scheme for
    unit quaternion curves with simple high order derivatives", 1995.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from splat import quaternions
from splat.cameras import Cameras, intrinsics

Array = NDArray[np.float64]
Vector = tuple[float, float, float]
Easing = Literal["smooth", "linear"]
EASINGS: tuple[Easing, ...] = get_args(Easing)

#: Chords into which the curve between two keys is cut to measure it.
CHORDS = 64


@dataclass(frozen=True)
class Key:
    """A view that the flight passes.

    Attributes:
        position: camera centre, scene units.
        wxyz: quaternion, scene from camera, OpenCV axes.
        fov: full vertical field of view, radians.
        travel: seconds on the way from the key before, above 0; for the first key from the last, if it is a loop.
        hold: seconds that the camera rests here.
    """

    position: Vector
    wxyz: tuple[float, float, float, float]
    fov: float
    travel: float = 2.0
    hold: float = 0.0

    @staticmethod
    def of(viewmat: Array, fov: float, travel: float = 2.0, hold: float = 0.0) -> Key:
        """The key at a camera [4, 4], camera from scene."""
        x, y, z = (float(value) for value in -viewmat[:3, :3].T @ viewmat[:3, 3])
        a, b, c, d = (float(value) for value in quaternions.from_matrix(viewmat[:3, :3].T))
        return Key((x, y, z), (a, b, c, d), float(fov), travel, hold)

    @property
    def viewmat(self) -> Array:
        """[4, 4] camera from scene."""
        return _viewmat(np.array(self.position), quaternions.to_matrix(self.wxyz))


class View(NamedTuple):
    """Where the camera is at a moment: viewmat [4, 4] camera from scene, fov as of `Key`."""

    viewmat: Array
    fov: float


@dataclass(frozen=True)
class Flight:
    """Keys in their order, and the way between them.

    Attributes:
        easing: "smooth" starts and ends softly, and rests at keys that hold; "linear" keeps one speed between keys.
        loop: whether it goes on from the last key to the first.
        look_at: what the camera keeps in its middle, scene units; None leaves its direction to the keys.
    """

    keys: tuple[Key, ...] = ()
    easing: Easing = "smooth"
    loop: bool = False
    look_at: Vector | None = None

    @property
    def arrivals(self) -> list[float]:
        """When the camera gets to each key, seconds from the start."""
        times, time = [], 0.0
        for index, key in enumerate(self.keys):
            time += key.travel if index else 0.0
            times.append(time)
            time += key.hold
        return times

    @property
    def duration(self) -> float:
        """Seconds, all holds and the way back included."""
        if not self.keys:
            return 0.0
        return self.arrivals[-1] + self.keys[-1].hold + (self.keys[0].travel if self._closed else 0.0)

    @property
    def lengths(self) -> list[float]:
        """Length of the way to each key from the one before, scene units; to the first it is 0, or in a loop the way
        back."""
        first = [self._legs[-1].length if self._closed else 0.0] * bool(self.keys)
        return [*first, *(leg.length for leg in self._legs[: max(0, len(self.keys) - 1)])]

    def at(self, time: float) -> View:
        """Where the camera is so many seconds after the start; before it, and after the end of what is no loop, it
        rests.

        Raises:
            ValueError: there are no keys.
        """
        if not self.keys:
            raise ValueError("a flight without keys goes nowhere")
        time = time % self.duration if self._closed else max(time, 0.0)
        arrivals = self.arrivals
        index = max(i for i, arrival in enumerate(arrivals) if arrival <= time)
        moving = time - arrivals[index] - self.keys[index].hold
        if moving <= 0 or index >= len(self._legs):
            place, quat = _place(self.keys[index]), np.array(self.keys[index].wxyz)
        else:
            leg = self._legs[index]
            share = min(1.0, moving / leg.seconds)
            share = leg.evenly(share) if self.easing == "linear" else share
            place, quat = leg.place(share), leg.quat(share)
        rotation = self._aimed(place[:3], quaternions.to_matrix(quat))
        return View(_viewmat(place[:3], rotation), 2 * math.atan(math.exp(place[3])))

    def count(self, fps: float) -> int:
        """How many pictures a video has; at least 1."""
        return max(1, round(self.duration * fps) + (0 if self._closed else 1))

    def times(self, fps: float) -> list[float]:
        """The moments of a video's pictures; the last of a loop is the one before the first comes again."""
        return [index / fps for index in range(self.count(fps))]

    def cameras(self, fps: float, width: int, height: int) -> Iterator[Cameras]:
        """A camera for each picture of a video, each a batch of one, on the CPU."""
        for time in self.times(fps):
            view = self.at(time)
            viewmat = torch.from_numpy(view.viewmat).float()
            yield Cameras(viewmat[None], intrinsics(width, height, view.fov)[None], width, height)

    def lasting(self, seconds: float) -> Flight:
        """The same flight so many seconds long: all times are stretched."""
        factor = seconds / self.duration
        keys = (replace(key, travel=factor * key.travel, hold=factor * key.hold) for key in self.keys)
        return replace(self, keys=tuple(keys))

    def evened(self) -> Flight:
        """The same flight at one speed: the time on the way is shared out by length. Turning on the spot takes a
        fifth of the mean."""
        flight, used = self, slice(0 if self._closed else 1, None)
        seconds = sum(key.travel for key in self.keys[used])
        # Other times bend the way a little differently, which soon settles.
        for _ in range(4):
            lengths = np.array(flight.lengths)
            if not lengths[used].sum() > 0:
                return self
            weights = np.maximum(lengths, 0.2 * lengths[used].mean())
            travels = (seconds * weights / weights[used].sum()).tolist()
            keys = (replace(key, travel=travel) for key, travel in zip(self.keys, travels, strict=True))
            flight = replace(self, keys=tuple(keys))
        return flight

    def transform(self, similarity: Array) -> Flight:
        """The flight in another world, x -> similarity x, as `Gaussians.transform` moves a scene.

        Args:
            similarity: [4, 4], upper left block a rotation times a scale above 0.
        """
        scale = np.linalg.det(similarity[:3, :3]) ** (1 / 3)
        turn = quaternions.from_matrix(similarity[:3, :3] / scale)

        def moved(point: Vector) -> Vector:
            x, y, z = (float(value) for value in similarity[:3, :3] @ np.array(point) + similarity[:3, 3])
            return x, y, z

        keys = []
        for key in self.keys:
            w, x, y, z = (float(value) for value in quaternions.product(turn, np.array(key.wxyz)))
            keys.append(replace(key, position=moved(key.position), wxyz=(w, x, y, z)))
        return replace(self, keys=tuple(keys), look_at=None if self.look_at is None else moved(self.look_at))

    @property
    def _closed(self) -> bool:
        return self.loop and len(self.keys) > 1

    @cached_property
    def _legs(self) -> list[_Leg]:
        """The ways from key to key; in a loop the last leads to the first."""
        ends = [*self.keys, *self.keys[:1]] if self._closed else list(self.keys)
        seconds = [key.travel for key in ends[1:]]
        quats = [np.array(key.wxyz) / np.linalg.norm(key.wxyz) for key in ends]
        moves = [_place(to) - _place(start) for start, to in zip(ends, ends[1:], strict=False)]
        turns = [
            quaternions.log(quaternions.product(quaternions.inverse(start), to))
            for start, to in zip(quats, quats[1:], strict=False)
        ]
        speeds = [self._speeds(what, seconds) for what in ([m[:3] for m in moves], [m[3:] for m in moves], turns)]
        legs = []
        for index, time in enumerate(seconds):
            after = (index + 1) % len(self.keys) if self._closed else index + 1
            (v0, z0, w0), (v1, z1, w1) = ([each[key] for each in speeds] for key in (index, after))
            start, turn = quats[index], turns[index]
            legs.append(
                _Leg(
                    time,
                    _place(ends[index]),
                    moves[index],
                    (time * np.concatenate([v0, z0]), time * np.concatenate([v1, z1])),
                    start,
                    _turn_controls(turn, time * w0, time * w1),
                )
            )
        return legs

    def _speeds(self, moves: list[Array], seconds: list[float]) -> list[Array]:
        """The speed at each key, from the moves between them."""
        count, slopes = len(self.keys), [move / time for move, time in zip(moves, seconds, strict=True)]
        speeds = []
        for index, key in enumerate(self.keys):
            here = [index - 1, index] if self._closed else [i for i in (index - 1, index) if 0 <= i < count - 1]
            resting = self.easing == "smooth" and (key.hold > 0 or len(here) < 2)
            if not here or resting:
                speeds.append(np.zeros_like(slopes[0]) if slopes else np.zeros(0))
                continue
            speed = sum(moves[i] for i in here) / sum(seconds[i] for i in here)
            # A camera that hardly moves on one side is not swept along by a quick move on the other.
            most = 2 * min(np.linalg.norm(slopes[i]) for i in here)
            speeds.append(speed * min(1.0, most / max(float(np.linalg.norm(speed)), 1e-300)))
        return speeds

    def _aimed(self, position: Array, rotation: Array) -> Array:
        """The rotation that looks at the chosen point, its up as near to the keys' as can be."""
        if self.look_at is None:
            return rotation
        forward = np.array(self.look_at) - position
        right = np.cross(rotation[:, 1], forward)
        if np.linalg.norm(right) <= 1e-9 * max(1.0, float(np.linalg.norm(forward))):
            return rotation
        forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward], axis=1)


@dataclass(frozen=True)
class _Leg:
    """The way from one key to the next; a share in [0, 1] of its time says where on it.

    Attributes:
        start, move: [4] place of the first key and what is to be added for the second's, as of `_place`.
        tangents: derivatives of the place after the share at both ends.
        turned: [4] quaternion of the first key.
        controls: rotation vectors that, each in its turn, lead to the second's.
    """

    seconds: float
    start: Array
    move: Array
    tangents: tuple[Array, Array]
    turned: Array
    controls: tuple[Array, Array, Array]

    def place(self, s: float) -> Array:
        first, second = self.tangents
        return self.start + (3 - 2 * s) * s * s * self.move + s * (1 - s) * ((1 - s) * first - s * second)

    def quat(self, s: float) -> Array:
        quat = self.turned
        for share, turn in zip((1 - (1 - s) ** 3, (3 - 2 * s) * s * s, s**3), self.controls, strict=True):
            quat = quaternions.product(quat, quaternions.exp(share * turn))
        return quat

    def evenly(self, share: float) -> float:
        """The share of the time at which this share of the length is behind the camera."""
        if not self.length > 0:
            return share
        return float(np.interp(share * self.length, self._measured, np.linspace(0, 1, CHORDS + 1)))

    @property
    def length(self) -> float:
        return float(self._measured[-1])

    @cached_property
    def _measured(self) -> Array:
        """[CHORDS + 1] length up to each end of a chord."""
        points = np.stack([self.place(s)[:3] for s in np.linspace(0, 1, CHORDS + 1)])
        return np.concatenate([[0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])


def _turn_controls(turn: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """The three rotations of a cubic Bezier curve from no turn to `turn`, with these derivatives at its ends."""
    early, late = first / 3, second / 3
    rest = quaternions.product(quaternions.exp(turn), quaternions.exp(-late))
    return early, quaternions.log(quaternions.product(quaternions.exp(-early), rest)), late


def _place(key: Key) -> Array:
    """[4] position and the logarithm of the zoom, in which equal steps look equal."""
    return np.array([*key.position, math.log(math.tan(0.5 * key.fov))])


def _viewmat(position: Array, rotation: Array) -> Array:
    """[4, 4] camera from scene, of a rotation [3, 3] scene from camera."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation.T
    viewmat[:3, 3] = -rotation.T @ position
    return viewmat
