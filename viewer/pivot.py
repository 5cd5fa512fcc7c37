"""Places under the pointer: what to turn around, and where to fly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from splat.gaussians import Gaussians
from splat.viewer.camera import Array, Stand
from splat.viewer.pick import pick

if TYPE_CHECKING:
    import viser

    from splat.viewer.session import Session

#: Seconds of a flight, and the share of the way that it leaves.
FLIGHT, REMAINING = 0.5, 0.4


def place_at(session: Session, x: float, y: float, found: Callable[[Array], object]) -> None:
    """Finds the place [3] in the scene under a point of the browser's picture, and calls `found` with it on the
    drawing thread; where there is none, the page says so.

    Args:
        x, y: from the left and the top, as shares of the canvas.
    """

    def work(gaussians: Gaussians) -> Array | None:
        space, source, generation = session.space, session.source, session.source.generation
        marks = session.chosen.marks
        shown = gaussians if marks is None else marks.apply(gaussians, generation)
        place = pick(shown, session.camera(), x, y, antialias=source.antialias, near=space.near)
        return None if place is None else place.numpy()

    def once() -> None:
        place = session.source.with_gaussians(work)
        if place is None:
            session.tell("There is nothing at this point of the picture; choose one where the scene is solid.")
        else:
            found(place)

    if shows_the_scene(session):
        session.soon(once)


def shows_the_scene(session: Session) -> bool:
    """Whether a point of the picture is a point of the scene; where a photo is in it, the page says what to do."""
    comparing = session.at_photo and session.chosen.compare != "off"
    if comparing:
        session.tell("Turn the comparison with the photo off first (Photos, or the key C).")
    return not comparing


def pivot_at(session: Session, x: float, y: float) -> None:
    """Turns around the place under a point of the picture from now on."""

    def turn(place: Array) -> None:
        session.stand_at(Stand(session.stand.position, session.space.to_view(place), session.stand.up))

    place_at(session, x, y, turn)


def fly_to(session: Session, x: float, y: float) -> None:
    """Flies most of the way to the place under a point of the picture, and turns around it from then on."""

    def fly(place: Array) -> None:
        session.pump.begin(_flight(session, session.space.to_view(place)))

    place_at(session, x, y, fly)


def listen(session: Session) -> None:
    """Takes clicks with a key held: Ctrl (or Cmd) sets the pivot, Shift flies there."""
    scene = session.client.scene

    @scene.on_click(modifier="cmd/ctrl")
    def _(event: viser.SceneClickEvent) -> None:
        pivot_at(session, *event.screen_pos)

    @scene.on_click(modifier="shift")
    def _(event: viser.SceneClickEvent) -> None:
        fly_to(session, *event.screen_pos)


def _flight(session: Session, target: Array) -> Iterator[None]:
    """Moves the camera a little with each piece, as far as the clock says; both ends are gentle."""
    start, started = session.stand, time.monotonic()
    end = target + REMAINING * (start.position - target)
    share, held = 0.0, session.holds
    while share < 1 and session.holds == held and not session.left:
        share = min(1.0, (time.monotonic() - started) / FLIGHT)
        eased = share * share * (3 - 2 * share)
        position, look_at = (a + eased * (b - a) for a, b in ((start.position, end), (start.look_at, target)))
        if np.linalg.norm(position - look_at) > 0:
            session.stand_at(Stand(position, look_at, start.up))
        yield
