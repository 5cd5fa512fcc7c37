"""A flight goes through its keys, and between them as a camera should."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from splat import quaternions
from splat.cameras import Cameras
from splat.errors import SplatError
from splat.flight import EASINGS, Easing, Flight, Key, View
from splat.formats.flight import from_json, to_json

Vector = tuple[float, float, float]


def quat(axis: Vector, degrees: float) -> tuple[float, float, float, float]:
    vector = np.array(axis) / np.linalg.norm(axis) * math.radians(degrees)
    w, x, y, z = (float(value) for value in quaternions.exp(vector))
    return w, x, y, z


KEYS = (
    Key((0.0, 0.0, 0.0), quat((0, 1, 0), 0), 0.9),
    Key((2.0, 0.5, 0.0), quat((0.2, 1, 0), 60), 0.7, travel=1.0, hold=0.5),
    Key((2.0, 1.0, 3.0), quat((0, 1, 0.4), 170), 1.2, travel=3.0),
    Key((-1.0, 0.0, 2.0), quat((0, 1, 0), 290), 0.5, travel=2.0),
)


def position(view: View) -> np.ndarray:
    return -view.viewmat[:3, :3].T @ view.viewmat[:3, 3]


def angle(a: View, b: View) -> float:
    """Degrees by which two views are turned against each other."""
    return math.degrees(math.acos(min(1.0, (np.trace(a.viewmat[:3, :3] @ b.viewmat[:3, :3].T) - 1) / 2)))


@pytest.mark.parametrize("easing", EASINGS)
@pytest.mark.parametrize("loop", [False, True])
def test_it_passes_its_keys_at_their_times(easing: Easing, loop: bool) -> None:
    flight = Flight(KEYS, easing, loop)
    assert flight.arrivals == [0.0, 1.0, 4.5, 6.5] and flight.duration == (8.5 if loop else 6.5)
    for key, arrival in zip(KEYS, flight.arrivals, strict=True):
        view = flight.at(arrival)
        assert np.allclose(view.viewmat, key.viewmat, atol=1e-9) and math.isclose(view.fov, key.fov)
        assert np.allclose(flight.at(arrival + 0.999 * key.hold).viewmat, key.viewmat, atol=1e-9)


@pytest.mark.parametrize("easing", EASINGS)
@pytest.mark.parametrize("loop", [False, True])
def test_nothing_jumps(easing: Easing, loop: bool) -> None:
    flight = Flight(KEYS, easing, loop)
    steps = [flight.at(flight.duration * i / 500) for i in range(501)]
    for a, b in zip(steps, steps[1:], strict=False):
        assert np.linalg.norm(position(a) - position(b)) < 0.15
        assert angle(a, b) < 4 and abs(a.fov - b.fov) < 0.02
        assert np.allclose(a.viewmat[:3, :3] @ a.viewmat[:3, :3].T, np.eye(3), atol=1e-9)
    if loop:
        assert np.allclose(steps[0].viewmat, steps[-1].viewmat, atol=1e-9)


def test_a_smooth_flight_starts_softly_and_keeps_its_speed_at_keys() -> None:
    flight, step = Flight(tuple(replace(key, hold=0.0) for key in KEYS)), 1e-5

    def speed(time: float, by: float) -> np.ndarray:
        return (position(flight.at(time + by)) - position(flight.at(time))) / by

    assert np.linalg.norm(speed(0.0, step)) < 1e-3
    for arrival in flight.arrivals[1:3]:
        before, after = speed(arrival, -step), speed(arrival, step)
        assert np.linalg.norm(after) > 0.3 and np.allclose(before, after, atol=1e-3)
        turned = [flight.at(arrival + by).viewmat[:3, :3] for by in (-step, 0.0, step)]
        assert np.allclose((turned[1] - turned[0]) / step, (turned[2] - turned[1]) / step, atol=1e-3)


@pytest.mark.parametrize("easing", EASINGS)
def test_two_keys_make_a_straight_way_without_overshoot(easing: Easing) -> None:
    flight = Flight((KEYS[0], KEYS[2]), easing)
    end = np.array(KEYS[2].position)
    shares = []
    for time in np.linspace(0, flight.duration, 50):
        place = position(flight.at(float(time)))
        assert np.allclose(np.cross(place, end), 0, atol=1e-9)
        shares.append(place @ end / (end @ end))
    assert min(shares) >= -1e-12 and max(shares) <= 1 + 1e-12 and (np.diff(shares) > 0).all()
    turns = [angle(flight.at(0), flight.at(float(time))) for time in np.linspace(0, flight.duration, 50)]
    assert max(turns) <= 170 + 1e-6


def test_a_quick_move_does_not_sweep_a_slow_neighbour_along() -> None:
    places = [0.0, 10.0, 10.001, 10.0]
    keys = tuple(Key((x, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 0.9, travel=1.0) for x in places)
    flight = Flight(keys)
    assert max(position(flight.at(time))[0] for time in np.linspace(0, 3, 300)) < 10.01


def test_linear_keeps_one_speed_between_keys() -> None:
    flight = Flight(tuple(replace(key, hold=0.0) for key in KEYS), "linear")
    for start, key, length in zip(flight.arrivals, KEYS[1:], flight.lengths[1:], strict=False):
        times = start + np.linspace(0, 1, 40) * key.travel
        steps = np.linalg.norm(np.diff([position(flight.at(float(time))) for time in times], axis=0), axis=1)
        assert np.allclose(steps, length / 39, rtol=0.02)


def test_evened_it_has_one_speed_throughout() -> None:
    flight = Flight(tuple(replace(key, hold=0.0) for key in KEYS), "linear", loop=True).evened()
    assert math.isclose(flight.duration, 8.0)
    steps = [position(flight.at(0.05 * i)) for i in range(160)]
    lengths = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert lengths.max() < 1.03 * np.median(lengths) and lengths.min() > 0.9 * np.median(lengths)


def test_turning_on_the_spot_and_roll_survive() -> None:
    rolled = (Key((1.0, 2.0, 3.0), quat((0, 0, 1), -20), 0.9), Key((1.0, 2.0, 3.0), quat((0, 0, 1), 60), 0.9))
    for easing in EASINGS:
        half = Flight(rolled, easing).at(1.0)
        assert np.allclose(position(half), [1, 2, 3])
        assert np.allclose(half.viewmat[:3, :3].T, quaternions.to_matrix(quat((0, 0, 1), 20)), atol=1e-9)
    assert Flight(rolled, "linear", loop=True).evened().duration == 4.0


def test_it_keeps_what_it_looks_at_in_the_middle_and_upright() -> None:
    target = (0.5, 0.4, 9.0)
    flight = Flight(KEYS, look_at=target)
    for time in np.linspace(0, flight.duration, 30):
        view = flight.at(float(time))
        seen = view.viewmat @ [*target, 1]
        assert seen[2] > 0 and np.allclose(seen[:2], 0, atol=1e-9)
        assert math.isclose(np.linalg.det(view.viewmat[:3, :3]), 1, rel_tol=1e-9)
    upright = Flight((KEYS[0],), look_at=(0.0, -1.0, 5.0)).at(0)
    assert upright.viewmat[1, 1] > 0.9


def test_pictures_are_counted_without_making_them() -> None:
    for flight in (Flight(), Flight(KEYS[:1]), Flight(KEYS), Flight(KEYS, loop=True)):
        assert [flight.count(fps) for fps in (0.01, 3, 10)] == [len(flight.times(fps)) for fps in (0.01, 3, 10)]
    assert Flight(KEYS[:1] + 999 * (replace(KEYS[1], travel=3600.0, hold=0.0),)).count(120) == 999 * 3600 * 120 + 1


def test_pictures_of_a_loop_do_not_repeat_the_first() -> None:
    assert len(Flight(KEYS).times(10)) == 66 and len(Flight(KEYS, loop=True).times(10)) == 85
    cameras = list(Flight(KEYS).cameras(2, 80, 60))
    assert len(cameras) == 14 and isinstance(cameras[0], Cameras)
    assert math.isclose(float(cameras[0].Ks[0, 1, 1]), 30 / math.tan(0.45), rel_tol=1e-6)


def test_one_key_rests_and_none_cannot_fly() -> None:
    assert np.allclose(Flight(KEYS[:1], loop=True).at(5.0).viewmat, KEYS[0].viewmat)
    with pytest.raises(ValueError, match="without keys"):
        Flight().at(0.0)


def test_stretched_it_goes_the_same_way() -> None:
    flight = Flight(KEYS, loop=True)
    slow = flight.lasting(17.0)
    assert math.isclose(slow.duration, 17.0)
    assert np.allclose(slow.at(6.2).viewmat, flight.at(3.1).viewmat)


def test_moved_with_its_scene_it_sees_the_same() -> None:
    similarity = np.eye(4)
    similarity[:3, :3] = 3.0 * quaternions.to_matrix(quat((1, 2, 3), 40))
    similarity[:3, 3] = 5, 6, 7
    flight = Flight(KEYS, look_at=(0.0, 1.0, 4.0))
    point = np.array([0.3, -0.2, 6.0, 1.0])
    for time in (0.0, 0.4, 2.0, 5.0):
        here, there = (
            flight.at(time).viewmat @ point,
            flight.transform(similarity).at(time).viewmat @ similarity @ point,
        )
        assert np.allclose(3 * here[:3], there[:3])


@pytest.mark.parametrize("loop", [False, True])
def test_json_gives_back_the_same_flight(loop: bool) -> None:
    flight = Flight(KEYS, "linear", loop, (1.0, 2.0, 3.0) if loop else None)
    again = from_json(to_json(flight), "it")
    assert (again.easing, again.loop, again.look_at) == (flight.easing, flight.loop, flight.look_at)
    for time in np.linspace(0, flight.duration, 9):
        assert np.allclose(again.at(float(time)).viewmat, flight.at(float(time)).viewmat)


GOOD = to_json(Flight(KEYS[:2]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD[:-9], "is not JSON: it may be cut short"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\x00", "is not JSON"),
        ("[1]", 'holds no camera flight (a list "keys")'),
        ('{"views": []}', 'holds no camera flight (a list "keys")'),
        (GOOD.replace('"version": 1', '"version": 2'), "is of version 2, not 1: update Splat"),
        (GOOD.replace("smooth", "bumpy"), "easing is none of smooth, linear"),
        (GOOD.replace("false", "3"), "loop is neither true nor false"),
        (GOOD.replace("0.5", "NaN", 1), "position of key 2 is no number"),
        (GOOD.replace("0.5", "true", 1), "position of key 2 is no number"),
        (GOOD.replace("0.5", "1e400", 1), "position of key 2 is no number"),
        (GOOD.replace('"hold": 0.5', '"hold": "long"'), "hold of key 2 is no number from 0 to 3600"),
        (GOOD.replace('"hold": 0.5', '"hold": -1'), "hold of key 2 is no number from 0 to 3600"),
        (GOOD.replace('"travel": 1.0', '"travel": 0'), "travel of key 2 is no number from 0.01"),
        (GOOD.replace("wxyz", "xyzw", 1), "wxyz of key 1 is no list of 4 numbers"),
        (GOOD.replace("1.0,\n    0.0", "0.0,\n    0.0", 1), "wxyz of key 1 is no unit quaternion"),
        (GOOD.replace('"look_at": null', '"look_at": [1, 2]'), "look_at is no list of 3 numbers"),
        ('{"version": 1, "keys": [7]}', "key 1 is not an object"),
        ('{"version": 1, "keys": [' + 1000 * "{}," + "{}]}", "has 1001 keys, and 1000 are the most"),
    ],
)
def test_what_is_no_flight_is_told_in_a_sentence(content: str | bytes, said: str) -> None:
    assert content != GOOD
    with pytest.raises(SplatError, match=r"^flight\.json .*[.]$") as caught:
        from_json(content, "flight.json")
    assert said in str(caught.value) and "\n" not in str(caught.value)
