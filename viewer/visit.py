"""The way to where a photo was taken: a short flight."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from splat.viewer.camera import Stand

if TYPE_CHECKING:
    from splat.viewer.session import Session

#: Seconds of a flight.
FLIGHT = 0.4


def visit(session: Session, index: int) -> None:
    """Flies to where a photo was taken; a later visit takes over."""
    session.view = index
    session.pump.begin(_flight(session, index))


def _flight(session: Session, index: int) -> Iterator[None]:
    """Moves the camera a little with each piece, as far as the clock says; both ends are gentle."""
    start, started = session.stand, time.monotonic()
    held = session.holds
    (end, fov), start_fov = session.photo_stand(index), float(session.client.camera.fov)
    while session.view == index and session.holds == held and not session.left:
        share = (time.monotonic() - started) / FLIGHT
        if share >= 1:
            session.go_to(index)
            return
        eased = share * share * (3 - 2 * share)
        position, look_at, up = (
            a + eased * (b - a)
            for a, b in ((start.position, end.position), (start.look_at, end.look_at), (start.up, end.up))
        )
        # Where both ways point against each other there is no camera half way.
        if min(np.linalg.norm(position - look_at), np.linalg.norm(up)) > 0:
            session.stand_at(Stand(position, look_at, up / np.linalg.norm(up)), start_fov + eased * (fov - start_fov))
        yield
