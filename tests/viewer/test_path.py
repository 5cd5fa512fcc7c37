"""A path in the viewer: what its keys see is what the browser shows, and who has the camera."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from made_up import circle_of_cameras

from splat.flight import Flight, Key
from splat.viewer.camera import Pose, Stand, ViewSpace
from splat.viewer.path import Player, orbit, pose_at, through_photos, view_of
from splat.viewer.session import Pilot
from splat.viewer.source import PhotoView

VIEWMATS = circle_of_cameras().viewmats.double().numpy()
SPACE = ViewSpace.of_cameras(VIEWMATS)
POSE = Pose((0.36, -0.48, 0.64, 0.48), (1.0, -2.0, 0.5), 0.7)


@dataclass
class Camera:
    """What a `Player` needs of a session: the space, and the camera that it moves."""

    space: ViewSpace = SPACE
    pilot: Pilot | None = None
    left: bool = False
    flown: list[Pose] = field(default_factory=list)

    def fly(self, pilot: Pilot, pose: Pose, stand: Stand) -> None:
        self.pilot = pilot
        self.flown.append(pose)


def player(flight: Flight) -> tuple[Player, Camera]:
    camera = Camera()
    player = Player(camera)  # pyright: ignore[reportArgumentType]
    player.flight = flight
    return player, camera


def ended(player: Player) -> None:
    deadline = time.monotonic() + 20
    while player.playing or any(thread.name == "viewer path" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_view_and_a_pose_are_the_same_place() -> None:
    view = view_of(SPACE, POSE)
    camera = SPACE.camera(POSE, 80, 60)
    assert np.allclose(view.viewmat, camera.viewmats[0].numpy(), atol=1e-6)
    pose = pose_at(SPACE, view)
    assert np.allclose(pose.rotation, POSE.rotation) and np.allclose(pose.position, POSE.position)
    assert pose.fov == POSE.fov


def test_an_orbit_keeps_its_distance_and_height_and_closes() -> None:
    centre = np.array([0.2, 0.1, 0.3])
    flight = orbit(SPACE, POSE, centre)
    assert flight.loop and math.isclose(flight.duration, 12)
    start = np.array(POSE.position)
    for moment in np.linspace(0, 12, 50):
        place = np.array(pose_at(SPACE, flight.at(float(moment))).position)
        assert abs(place[2] - start[2]) < 1e-6
        assert math.isclose(math.dist(place[:2], centre[:2]), math.dist(start[:2], centre[:2]), rel_tol=0.01)
    first, half = (pose_at(SPACE, flight.at(moment)) for moment in (0.0, 6.0))
    assert np.allclose(first.rotation, POSE.rotation, atol=1e-6)
    # What was seen in the middle still is, from the other side.
    around = np.diag([-1.0, -1.0, 1.0])
    assert np.allclose(half.rotation, around @ POSE.rotation, atol=1e-6)


def test_the_way_through_the_photos_passes_them() -> None:
    cameras = circle_of_cameras()
    views = [PhotoView(str(index), cameras[index], False) for index in range(len(cameras))]
    flight = through_photos(views)
    assert (
        len(flight.keys) == 10
        and math.isclose(flight.duration, 20)
        and math.isclose(flight.keys[3].fov, 0.8, rel_tol=1e-6)
    )
    for viewmat, arrival in zip(VIEWMATS, flight.arrivals, strict=True):
        assert np.allclose(flight.at(arrival).viewmat, viewmat, atol=1e-5)
    assert len(through_photos(views * 10).keys) == 24 and len(through_photos(views[:1]).keys) == 1


def test_it_plays_to_the_end_and_from_the_start_again() -> None:
    flight = Flight(tuple(Key.of(viewmat, 0.8, travel=0.15) for viewmat in VIEWMATS[:3]))
    flying, camera = player(flight)
    for _ in range(2):
        camera.flown.clear()
        flying.play()
        assert flying.playing
        ended(flying)
        assert flying.time == flight.duration
        first, last = camera.flown[0], camera.flown[-1]
        assert np.allclose(first.position, pose_at(SPACE, flight.at(0)).position)
        assert np.allclose(last.position, pose_at(SPACE, flight.at(0.3)).position)
        assert 3 < len(camera.flown) < 20, "as many places as a screen shows, not as many as can be sent"


@pytest.mark.parametrize("how", ["stopped", "taken over", "left"])
def test_a_loop_goes_on_until_it_is_ended(how: str) -> None:
    flying, camera = player(Flight(tuple(Key.of(viewmat, 0.8, travel=0.05) for viewmat in VIEWMATS[:3]), loop=True))
    flying.play()
    time.sleep(0.4)
    assert flying.playing
    if how == "stopped":
        flying.stop()
    elif how == "left":
        camera.left = True
    else:
        camera.pilot = None
    ended(flying)


def test_it_knows_its_own_places_by_their_echo() -> None:
    flying, camera = player(Flight(tuple(Key.of(viewmat, 0.8) for viewmat in VIEWMATS[:3])))
    assert not flying.knows(POSE)
    flying.seek(0.7)
    flying.seek(1.9)
    for pose in camera.flown:
        x, y, z = pose.position
        w, a, b, c = pose.wxyz
        assert flying.knows(Pose((-w, -a, -b, -c), (x + 1e-6, y, z), 0.5)), "a quaternion's sign says nothing"
        assert not flying.knows(replace(pose, position=(x + 0.01, y, z)))
    assert not flying.knows(pose_at(SPACE, flying.flight.at(1.2)))


def test_without_keys_nothing_plays() -> None:
    flying, camera = player(Flight())
    flying.play()
    assert not flying.playing and not camera.flown
