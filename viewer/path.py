"""Flying along a path: a browser's camera at a moment of it, and from one moment to the next."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from splat import quaternions
from splat.flight import Flight, Key, View
from splat.viewer.camera import Array, Pose, ViewSpace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from splat.viewer.session import Session
    from splat.viewer.source import PhotoView

#: Places a second at which a playing camera is put.
RATE = 30.0
#: So many places are known again when the browser reports them: several seconds of a slow page.
REMEMBERED = 300
#: A place is the same within these: view-space units, and the sine of the angle.
SAME = 1e-3
#: Keys of an orbit, and at most of a way through the photos; seconds that each takes at first.
ORBIT_KEYS, PHOTO_KEYS = 12, 24
ORBIT_SECONDS, PHOTOS_SECONDS = 12.0, 20.0


class Player:
    """Flies one browser's camera; a hand on the camera ends that.

    Attributes:
        flight: the path, in the coordinates of the source's Gaussians.
        time: where on it the camera was put last, seconds from its start.
    """

    def __init__(self, session: Session) -> None:
        self.flight = Flight()
        self.time = 0.0
        self._session = session
        self._placed: deque[Array] = deque(maxlen=REMEMBERED)
        self._thread: threading.Thread | None = None

    @property
    def playing(self) -> bool:
        return self._thread is not None and self._session.pilot is self and not self._session.left

    def knows(self, pose: Pose) -> bool:
        placed = np.array(list(self._placed)).reshape(-1, 12)
        return bool((np.abs(placed - _numbers(pose)).max(axis=1) < SAME).any())

    def seek(self, moment: float) -> None:
        """Puts the camera where it is at a moment, and leaves it there."""
        self._thread = None
        self._place(moment)

    def show(self, key: Key) -> None:
        """Puts the camera at a key."""
        self._thread = None
        self._put(View(key.viewmat, key.fov))

    def play(self) -> None:
        """Flies on from where it is, or from the start if that is the end."""
        if not self.flight.keys or self.playing:
            return
        if self.time >= self.flight.duration:
            self.time = 0.0
        self._thread = threading.Thread(target=self._fly, name="viewer path", daemon=True)
        self._place(self.time)
        self._thread.start()

    def stop(self) -> None:
        self._thread = None

    def _fly(self) -> None:
        me, started, start = threading.current_thread(), time.monotonic(), self.time
        # The browser may leave at any moment, half way through a message to it.
        with contextlib.suppress(Exception):
            while self._thread is me and self.playing and self.flight.keys:
                moment = start + time.monotonic() - started
                if not self.flight.loop and moment >= self.flight.duration:
                    self._place(self.flight.duration)
                    break
                self._place(moment % max(self.flight.duration, 1e-6) if self.flight.loop else moment)
                time.sleep(1 / RATE)
        if self._thread is me:
            self._thread = None

    def _place(self, moment: float) -> None:
        self.time = moment
        self._put(self.flight.at(moment))

    def _put(self, view: View) -> None:
        space = self._session.space
        pose = pose_at(space, view)
        self._placed.append(_numbers(pose))
        self._session.fly(self, pose, space.stand(view.viewmat))


def pose_at(space: ViewSpace, view: View) -> Pose:
    """A view of the scene, as a browser's pose."""
    rotation, translation = view.viewmat[:3, :3], view.viewmat[:3, 3]
    w, x, y, z = (float(value) for value in quaternions.from_matrix(space.rotation @ rotation.T))
    px, py, pz = (float(value) for value in space.to_view(-rotation.T @ translation))
    return Pose((w, x, y, z), (px, py, pz), view.fov)


def view_of(space: ViewSpace, pose: Pose) -> View:
    """A browser's pose, as a view of the scene."""
    rotation, position = pose.rotation.T @ space.rotation, space.to_scene(np.asarray(pose.position))
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ position
    return View(viewmat, pose.fov)


def orbit(space: ViewSpace, pose: Pose, centre: Array) -> Flight:
    """Once around a vertical axis through a point of view space, from where the camera is."""
    keys = []
    for index in range(ORBIT_KEYS):
        turn = quaternions.exp(np.array([0.0, 0.0, 2 * math.pi * index / ORBIT_KEYS]))
        rotation = quaternions.to_matrix(turn)
        w, x, y, z = (float(value) for value in quaternions.product(turn, np.asarray(pose.wxyz)))
        px, py, pz = (float(value) for value in centre + rotation @ (np.asarray(pose.position) - centre))
        view = view_of(space, Pose((w, x, y, z), (px, py, pz), pose.fov))
        keys.append(Key.of(view.viewmat, view.fov, travel=ORBIT_SECONDS / ORBIT_KEYS))
    return Flight(tuple(keys), "linear", loop=True)


def through_photos(views: Sequence[PhotoView]) -> Flight:
    """From photo to photo in their order, at one speed; of many photos, evenly picked ones."""
    picked = np.unique(np.linspace(0, len(views) - 1, min(len(views), PHOTO_KEYS)).round().astype(int))
    keys = []
    for index in picked:
        camera = views[index].camera
        fov = 2 * math.atan(0.5 * camera.height / float(camera.Ks[0, 1, 1]))
        keys.append(Key.of(camera.viewmats[0].double().cpu().numpy(), fov))
    flight = Flight(tuple(keys))
    return flight.evened().lasting(PHOTOS_SECONDS) if len(keys) > 1 else flight


def _numbers(pose: Pose) -> Array:
    """[12] rotation and position: what tells two places apart."""
    return np.concatenate([pose.rotation.ravel(), pose.position])
