"""Browsers that come and go, and what one of them cannot do to the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from made_up import made_up_scene
from raw_browser import browser, camera, until

from splat.cli import browser as command_line
from splat.viewer.gate import Door
from splat.viewer.server import Viewer
from splat.viewer.source import FileSource


@pytest.fixture
def served() -> Iterator[tuple[Viewer, Door]]:
    door = Door.open("127.0.0.1", 0)
    viewer = Viewer(FileSource(made_up_scene(), "made up"), door)
    yield viewer, door
    viewer.close()


def test_nothing_is_drawn_for_who_has_left_whatever_still_works_for_them(served: tuple[Viewer, Door]) -> None:
    viewer, door = served
    with browser(door) as page:
        page.send(camera())
        until(lambda: len(viewer.sessions) == 1)
        (session,) = viewer.sessions.values()
    until(lambda: not viewer.sessions and not len(session.pump.scheduler))
    session.choose(mode="depth")
    session.go_home()
    assert session.left and not len(session.pump.scheduler)


def test_controls_that_fail_keep_no_others_from_being_brought_up_to_date(served: tuple[Viewer, Door]) -> None:
    viewer, door = served

    class Failing:
        def refresh(self) -> None:
            raise KeyError("nonsense")

    class Counting:
        count = 0

        def refresh(self) -> None:
            self.count += 1

    last = Counting()
    viewer._panels[99] = [Failing(), last]
    until(lambda: last.count >= 2)


def test_a_sentence_without_a_link_opens_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(command_line, "has_screen", lambda: True)
    monkeypatch.setattr(command_line.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("webbrowser.open", opened.append)
    command_line.announce("scene.ply is cut short. The scene from before is shown again.")
    command_line.announce("Viewer: http://127.0.0.1:8080/?token=abc")
    assert opened == ["http://127.0.0.1:8080/?token=abc"]
