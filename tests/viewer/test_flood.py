"""Browsers that misbehave, on raw websockets: each loses its connection, and another one goes on seeing pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from made_up import made_up_scene
from raw_browser import browser, camera, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.connection import Connection

from splat.viewer.gate import Door
from splat.viewer.guard import BURST, MAX_CLIENTS, MAX_MESSAGE, RATE, Budget, judge
from splat.viewer.server import Viewer
from splat.viewer.source import FileSource


def control(updates: Any) -> bytes:
    return msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": "a", "updates": updates})


@pytest.fixture(scope="module")
def seen() -> Iterator[tuple[Viewer, Door]]:
    door = Door.open("127.0.0.1", 0)
    viewer = Viewer(FileSource(made_up_scene(), "made up"), door)
    yield viewer, door
    viewer.close()


def sees_pictures(viewer: Viewer, socket: Connection) -> None:
    """A camera that turns is followed by pictures of it."""
    session = next(iter(viewer.sessions.values()))
    for _ in range(2):
        before = session.chosen
        socket.send(camera(position=[time.monotonic() % 1, 0.0, -2.0]))
        until(lambda before=before: session.chosen != before)
        until(lambda: session.frame is not None and session.frame.job.request == session.chosen)


@pytest.fixture
def other(seen: tuple[Viewer, Door]) -> Iterator[Callable[[], None]]:
    """Another browser, opened before the test's; call it to see that it sees pictures."""
    viewer, door = seen
    until(lambda: not viewer.sessions)
    with browser(door) as socket:
        socket.send(camera())
        until(lambda: bool(viewer.sessions))
        yield lambda: sees_pictures(viewer, socket)
    until(lambda: not viewer.sessions)


def dropped(socket: Connection) -> bool:
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            socket.recv(timeout=5)
    return socket.protocol.close_exc is not None if socket.protocol.state.name == "CLOSED" else False


@pytest.mark.parametrize(
    "messages",
    [
        [b"\xc1 no msgpack"],
        [msgspec.msgpack.encode([1, 2, 3])],
        [msgspec.msgpack.encode({"kind": "without a type"})],
        [msgspec.msgpack.encode({"type": "NoMessageOfVisers"})],
        [b"\x91" * 100_000],
        ["text"],
        [bytes(MAX_MESSAGE + 1)],
        [camera(fov=float("nan"))] * 25,
        [camera()] * int(2 * BURST),
    ],
    ids=["garbage", "list", "no type", "unknown", "nested", "text", "oversized", "NaN cameras", "flood"],
)
def test_who_misbehaves_is_dropped_and_nobody_else_notices(
    seen: tuple[Viewer, Door], other: Callable[[], None], messages: list[bytes | str]
) -> None:
    other()
    with browser(seen[1]) as rogue:
        rogue.send(camera())
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                rogue.send(message)
        assert dropped(rogue)
    other()
    until(lambda: len(seen[0].sessions) == 1)
    assert not any(session.problem for session in seen[0].sessions.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"fov": float("nan")},
        {"position": [0.0, float("inf"), 0.0]},
        {"wxyz": [0.0, 0.0, 0.0, 0.0]},
        {"wxyz": [1.0, 0.0]},
        {"image_width": 10**9, "image_height": 1},
        {"image_height": "tall"},
        {"fov": 4.0},
        {"look_at": [0.0, 0.0, float("nan")]},
    ],
)
def test_impossible_cameras_are_passed_over(changes: dict[str, Any]) -> None:
    assert judge(camera()) == judge(control({"value": 1})) == "take"
    assert judge(camera(**changes)) == "skip"


@pytest.mark.parametrize(
    "message",
    [
        b"\x82\xa4type\xa1x\xa1a" + b"\x91" * 400 + b"\xc0",
        b"\x82\xa4type\xa1x\xa1a" + b"\x91" * 100_000 + b"\xc0",
        b"\x81\xa4type\xa2\xff\xfe",
        b"\x82\xa4type\xa1x\xa2\xff\xfe\x01",
        control({"update_cb": []}),
        control({"value": 1, "props": {}}),
        control(None),
    ],
    ids=["nested", "nested deep", "no UTF-8", "no UTF-8 for a name", "callback", "properties", "nothing"],
)
def test_what_no_page_can_have_sent_ends_the_connection(message: bytes) -> None:
    assert judge(message) == "drop"


def test_a_camera_moved_as_fast_as_a_page_moves_it_is_no_flood() -> None:
    budget, now = Budget(), 100.0
    for _ in range(60_000):
        now += 1 / 60
        assert budget.spend(1 + len(camera()) / (16 << 10), now)
    # What gathered while the machine was busy for ten seconds comes at once.
    assert all(budget.spend(1.1, now) for _ in range(600))
    spent = sum(budget.spend(1.0, now) for _ in range(int(2 * BURST)))
    assert spent < BURST and budget.spend(1.0, now + BURST / RATE + 60)


def test_who_comes_when_all_places_are_taken_is_told(seen: tuple[Viewer, Door], other: Callable[[], None]) -> None:
    with contextlib.ExitStack() as guests:
        for _ in range(MAX_CLIENTS - 1):
            guests.enter_context(browser(seen[1])).send(camera())
        until(lambda: len(seen[0].sessions) == MAX_CLIENTS)
        with pytest.raises(InvalidStatus) as refused:
            browser(seen[1])
        assert refused.value.response.status_code == 503
        assert b"Close one of them" in refused.value.response.body
        other()
    until(lambda: len(seen[0].sessions) == 1)
    with browser(seen[1]) as late:
        late.send(camera())
        until(lambda: len(seen[0].sessions) == 2)
