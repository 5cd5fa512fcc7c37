"""Flying to a place under the pointer."""

from __future__ import annotations

import numpy as np
from made_up import made_up_scene
from raw_browser import browser, camera, until

from splat.viewer.gate import Door
from splat.viewer.pivot import _flight
from splat.viewer.server import Viewer
from splat.viewer.source import FileSource


def test_a_flight_ends_once_the_browser_has_left() -> None:
    door = Door.open("127.0.0.1", 0)
    viewer = Viewer(FileSource(made_up_scene(), "made up"), door)
    try:
        with browser(door) as socket:
            socket.send(camera())
            until(lambda: bool(viewer.sessions))
            (session,) = viewer.sessions.values()
            flight = _flight(session, np.array([0.5, 0.0, 0.0]))
            next(flight)
        until(lambda: session.left)
        assert not list(flight)
    finally:
        viewer.close()
