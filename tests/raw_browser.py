"""A browser without a browser: viser's messages on a raw websocket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import viser
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from splat.viewer.gate import Door

CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": [1.0, 0.0, 0.0, 0.0],
    "position": [0.0, 0.0, -2.0],
    "image_height": 32,
    "image_width": 48,
    "fov": 1.0,
    "near": 0.1,
    "far": 100.0,
    "look_at": [0.0, 0.0, 0.0],
    "up_direction": [0.0, 0.0, 1.0],
}


def camera(**changes: Any) -> bytes:
    return msgspec.msgpack.encode({**CAMERA, **changes})


def browser(door: Door, **headers: str) -> Connection:
    headers = {"Authorization": f"Bearer {door.gate.token}", **headers}
    protocol: Any = f"viser-v{viser.__version__}"
    return connect(
        f"ws://127.0.0.1:{door.port}/",
        subprotocols=[protocol],
        additional_headers=headers,
        compression=None,
        max_size=None,
        # Who has not read all that came would wait for the server's farewell behind it.
        close_timeout=0.2,
    )


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
