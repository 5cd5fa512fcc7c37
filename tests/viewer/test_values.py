"""What a browser may send for a control: values that the page never offers change nothing, and tear nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from made_up import circle_of_cameras, made_up_scene
from raw_browser import browser, camera, until
from websockets.sync.connection import Connection

from splat.viewer.gate import Door
from splat.viewer.panels.cameras import CamerasPanel
from splat.viewer.panels.measure import MeasurePanel
from splat.viewer.panels.text import paragraph
from splat.viewer.server import Viewer
from splat.viewer.session import Session
from splat.viewer.source import FileSource, PhotoView
from splat.viewer.watch import FileWatch, ReloadOffer


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[Session, Connection]]:
    """Of a scene with photos, as one browser has it."""
    door = Door.open("127.0.0.1", 0)
    cameras = circle_of_cameras()
    views = [PhotoView(f"<b>{index}</b>.png", cameras[index], False) for index in range(3)]
    viewer = Viewer(FileSource(made_up_scene(), "made up", views), door)
    with browser(door) as socket:
        socket.send(camera())
        until(lambda: any(session.frame is not None for session in viewer.sessions.values()))
        yield next(iter(viewer.sessions.values())), socket
    viewer.close()


def control(session: Session, label: str) -> Any:
    """The page's control of that name."""
    handles = session.client.gui._gui_input_handle_from_uuid.values()
    return next(handle for handle in handles if getattr(handle, "label", None) == label)


def send(page: tuple[Session, Connection], label: str, value: object) -> None:
    """As a browser does that chose something; returns when it has arrived."""
    session, socket = page
    handle = control(session, label)
    message = {"type": "GuiUpdateMessage", "uuid": handle._impl.uuid, "updates": {"value": value}}
    socket.send(msgspec.msgpack.encode(message))
    until(lambda: handle.value == value)


def settled(page: tuple[Session, Connection]) -> None:
    """What was sent before has been followed: the page's threads may take it in any order."""
    session, _ = page
    for wipe in (0.25, 0.75):
        send(page, "Line", wipe)
        until(lambda wipe=wipe: session.chosen.wipe == wipe)


@pytest.mark.parametrize("label", ["Show", "Compare", "While moving", "When still"])
def test_an_option_that_is_none_changes_nothing(page: tuple[Session, Connection], label: str, capfd: Any) -> None:
    session, _ = page
    settled(page)
    before = session.chosen
    send(page, label, "x")
    settled(page)
    assert session.chosen == before
    assert "Error" not in capfd.readouterr().err


def test_a_unit_that_is_none_is_refused(page: tuple[Session, Connection]) -> None:
    session, _ = page
    panel = MeasurePanel(session)
    before = session.source.scale
    for x in (0.0, 2.0):
        panel._add(session.space.to_scene(np.array([x, 0.0, 0.0])))
    panel._unit.value = "![](/etc/hostname)"  # pyright: ignore[reportAttributeAccessIssue]
    panel._set_scale()
    assert session.source.scale is before
    panel._unit.value = "cm"
    panel._set_scale()
    assert session.source.scale.unit == "cm"


def test_two_places_that_are_one_give_no_scale(page: tuple[Session, Connection]) -> None:
    session, _ = page
    panel = MeasurePanel(session)
    before = session.source.scale
    for _ in range(2):
        panel._add(session.space.to_scene(np.array([0.0, 0.0, 0.0])))
    panel._set_scale()
    assert session.source.scale is before


def test_a_size_is_drawn_within_its_bounds(page: tuple[Session, Connection]) -> None:
    session, _ = page
    for sent, drawn in ((1e6, 2.0), (-1.0, 0.1), (0.5, 0.5)):
        send(page, "Size", sent)
        until(lambda drawn=drawn: session.chosen.size == drawn)
    control(session, "Size").value = math.nan
    assert session.chosen.size == 0.5


def test_html_in_a_name_is_shown_as_it_is(page: tuple[Session, Connection], tmp_path: Path) -> None:
    session, _ = page
    shown = ReloadOffer(session, FileWatch(tmp_path / "<img src=x>![](a.png).ply"))._text.content
    assert "<img" not in shown and "&lt;img src=x&gt;![](a.png).ply was replaced" in shown
    panel = CamerasPanel(session)
    session.gallery.problem = "The photo <b>2</b>.png is gone"
    panel.refresh()
    session.gallery.problem = ""
    assert panel._problem.content == paragraph("The photo <b>2</b>.png is gone")
    assert "&lt;b&gt;2&lt;/b&gt;.png" in panel._problem.content
