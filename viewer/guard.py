"""The guard: what a browser that was let in may send. One that floods or sends nonsense loses its connection; what the
others see goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import Any, Literal

import msgspec
from websockets.asyncio.server import ServerConnection

log = logging.getLogger(__name__)

#: Browsers at a time.
MAX_CLIENTS = 32
#: Bytes of one message; the largest that viser's page sends are pictures and parts of files.
MAX_MESSAGE = 8 << 20
#: What a browser may send: messages a second in the long run, and at once. Its camera sends at most 50 a second; what
#: gathers in a socket while this machine is busy comes at once.
RATE, BURST = 200.0, 2000.0
#: Further messages that a message counts for: one for so many bytes, and so many if nothing can be made of it.
BYTES, NONSENSE = 16 << 10, 100.0
#: Pixels of a side of a browser's window, and distance of its camera from the scene's middle in view space, at most.
MAX_SIDE, MAX_DISTANCE = 16384, 1e5

Verdict = Literal["take", "skip", "drop"]


class Budget:
    """Messages that may be sent: `RATE` a second, saved up to `BURST`."""

    def __init__(self) -> None:
        self._left, self._at = BURST, -math.inf

    def spend(self, cost: float, now: float) -> bool:
        """Whether there was as much left."""
        self._left = min(BURST, self._left + RATE * min(now - self._at, BURST))
        self._at = now
        self._left -= cost
        return self._left >= 0


def judge(raw: bytes | str) -> Verdict:
    """What to do with a message: take it, skip one that holds impossible numbers, drop who sends no message at all."""
    if isinstance(raw, str):
        return "drop"
    try:
        message = msgspec.msgpack.decode(raw)
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            return "drop"
        # viser sets whatever attribute of a control is named; its page names the value alone.
        if message["type"] == "GuiUpdateMessage" and set(message.get("updates", ())) != {"value"}:
            return "drop"
        possible = _is_finite(message) and (message["type"] != "ViewerCameraMessage" or _is_camera(message))
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError):  # A ValueError is text that is no UTF-8.
        return "drop"
    return "take" if possible else "skip"


def _is_finite(value: Any) -> bool:
    """Whether all numbers in it are."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_finite(item) for item in value.values())
    return all(_is_finite(item) for item in value) if isinstance(value, list) else True


def _is_camera(message: dict[str, Any]) -> bool:
    """Whether a picture can be drawn for this camera."""
    try:
        width, height, fov = (float(message[name]) for name in ("image_width", "image_height", "fov"))
        rotation, position = ([float(value) for value in message[name]] for name in ("wxyz", "position"))
    except (KeyError, TypeError, ValueError):
        return False
    sized = 0 <= width <= MAX_SIDE and 0 <= height <= MAX_SIDE and 0 < fov < math.pi
    placed = len(position) == 3 and max(map(abs, position)) <= MAX_DISTANCE
    return sized and placed and len(rotation) == 4 and 0.5 < math.hypot(*rotation) < 2


class GuardedConnection(ServerConnection):
    """A browser's connection, each message of which is judged before viser has it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._budget = Budget()

    async def recv(self, decode: bool | None = None) -> Any:
        while True:
            raw = await super().recv(decode)
            verdict = judge(raw)
            cost = 1 + len(raw) / BYTES + (NONSENSE if verdict == "skip" else 0)
            if verdict == "drop":
                await self._drop("that was no message of this page's")
            elif not self._budget.spend(cost, time.monotonic()):
                await self._drop("too many messages")
            elif verdict == "take":
                return raw

    async def _drop(self, reason: str) -> None:
        """Ends the connection, whether or not the other side answers; the next `recv` says so to viser."""
        log.info("the viewer dropped a browser: %s", reason)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.close(1008, reason), timeout=0.5)
        self.transport.abort()
