"""While a scene is read, when it cannot be, when it is empty, and when its file is replaced."""

from __future__ import annotations

import http.client
import json
import os
import threading
from pathlib import Path

import pytest
import torch
from made_up import made_up_scene
from raw_browser import browser, camera, until

from splat.errors import SplatError
from splat.formats import write
from splat.viewer import loading, server
from splat.viewer.gate import Door
from splat.viewer.loading import LoadingPage, load
from splat.viewer.panels.status import EMPTY, StatusLine
from splat.viewer.server import Viewer, view
from splat.viewer.source import FileSource
from splat.viewer.watch import FileWatch


def ask(door: Door, path: str = "/splat/state", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {door.gate.token}", **headers})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.fixture
def door():
    opened = Door.open("127.0.0.1", 0)
    yield opened
    opened.listener.close()


def test_the_page_says_how_far_reading_is_and_then_makes_way(door: Door) -> None:
    page = LoadingPage(door)
    try:
        page.tell("Loading scene.ply: 35 %", 35)
        assert json.loads(ask(door)[1]) == {"state": "loading", "text": "Loading scene.ply: 35 %", "percent": 35}
        status, body = ask(door, "/")
        assert status == 200 and b"<progress" in body
        assert ask(door, Authorization="Bearer wrong")[0] == 401 and ask(door, Host="evil.example")[0] == 421
        assert ask(door, Origin="http://evil.example")[0] == 403 and ask(door, "/etc/passwd")[0] == 503
    finally:
        page.close()
    viewer = Viewer(FileSource(made_up_scene(), "made up"), door.again())
    assert json.loads(ask(door)[1]) == {"state": "open"}
    viewer.close()


def test_a_file_that_cannot_be_read_is_said_to_whoever_waits_for_it(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "FAREWELL", 0.4)
    broken, told = tmp_path / "broken.ply", []
    broken.write_bytes(b"ply\nnonsense")
    really_open = loading.open_source

    def open_source(path: Path, device: str) -> FileSource:
        ask(door)  # A page that waits.
        watcher.start()
        return really_open(path, device)

    watcher = threading.Thread(
        target=lambda: until(lambda: told.append(json.loads(ask(door)[1])) or told[-1]["state"] != "loading")
    )
    monkeypatch.setattr(loading, "open_source", open_source)
    with pytest.raises(SplatError, match=str(tmp_path)):
        load(broken, door, "cpu")
    watcher.join()
    assert told[-1]["state"] == "failed" and "broken.ply" in told[-1]["text"]
    assert str(tmp_path) not in told[-1]["text"]


def test_a_file_that_grows_while_it_is_read_is_never_more_than_whole(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PIECE", 4)
    growing, told = tmp_path / "growing.ply", []
    growing.touch()
    page = LoadingPage(door)
    tell = page.tell

    def note(text: str, percent: int | None) -> None:
        told.append(percent)
        tell(text, percent)

    real_stat = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        found = real_stat(path, **options)
        if path == growing and not found.st_size:
            growing.write_bytes(b"ply and so on")
        return found

    monkeypatch.setattr(page, "tell", note)
    monkeypatch.setattr(Path, "stat", stat)
    try:
        loading._read_through(growing, page)
    finally:
        page.close()
    assert told == [100, 100, 100, 100, None]


def test_an_empty_scene_has_a_page(door: Door) -> None:
    empty = FileSource(made_up_scene().select(torch.arange(0)), "empty")
    viewer = Viewer(empty, door.again())
    with browser(door) as socket:
        socket.send(camera())
        until(lambda: any(session.frame is not None for session in viewer.sessions.values()))
        (session,) = viewer.sessions.values()
        assert StatusLine(session).text == EMPTY and not session.problem
    viewer.close()


def test_a_replaced_file_is_noticed_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "scene.ply"
    path.write_bytes(b"one")
    watch = FileWatch(path)
    watch.look()
    assert not watch.replaced
    path.write_bytes(b"one and tw")
    watch.look()
    assert not watch.replaced  # It may still grow.
    watch.look()
    assert watch.replaced
    path.unlink()
    watch.look()
    watch.look()
    assert not watch.replaced


def test_the_link_is_said_before_the_scene_is_read_and_a_reload_shows_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, path = made_up_scene(), tmp_path / "scene.ply"
    write(scene, path)
    said: list[str] = []
    made: list[Viewer] = []
    watches: list[FileWatch] = []

    class Noted(Viewer):
        def __init__(self, source: FileSource, door: Door, watch: FileWatch) -> None:
            assert said and said[0].startswith("Viewer: http://127.0.0.1:")
            super().__init__(source, door, watch)
            made.append(self)
            watches.append(watch)

    class Enough(FileWatch):
        """Ends the wait of the third viewer as Ctrl-C does."""

        def __init__(self, path: Path) -> None:
            super().__init__(path)
            if len(made) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(server, "Viewer", Noted)
    monkeypatch.setattr(server, "FileWatch", Enough)
    shown = threading.Thread(target=view, args=(path,), kwargs={"port": 0, "announce": said.append})
    shown.start()
    until(lambda: len(made) == 1)
    write(scene.select(torch.arange(3)), path)
    os.utime(path, ns=(1, 1))
    until(lambda: [watches[0].look(), watches[0].replaced][1])
    watches[0].reload.set()
    until(lambda: len(made) == 2)
    assert made[0].source.with_gaussians(len) == len(scene) and made[1].source.with_gaussians(len) == 3
    watches[1].reload.set()
    shown.join(timeout=20)
    assert not shown.is_alive()


def test_nothing_is_said_about_a_path_that_does_not_exist(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(SplatError, match="does not exist"):
        view(tmp_path / "nothing.ply", port=0, announce=said.append)
    assert not said
