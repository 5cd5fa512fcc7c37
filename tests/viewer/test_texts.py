"""What the page says: no folder of this machine, and a help that lists what has been added."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from splat.viewer.commands import command
from splat.viewer.panels.help import table
from splat.viewer.panels.text import without_folders
from splat.viewer.session import Session


@pytest.mark.parametrize(
    "said, shown",
    [
        ("The photos of this run are gone: /home/me/captures/lego does not exist", "gone: lego does not exist"),
        ("C:\\Users\\me\\scene.ply is damaged", "scene.ply is damaged"),
        ("'/home/my own/scene.ply' is damaged", "'scene.ply' is damaged"),
        ("~/runs/a/scene.ply is damaged", "scene.ply is damaged"),
        ("/a/b/c is no folder, nor is /d/e", "c is no folder, nor is e"),
        ("13 / 14 photos, 3/4 of the size, see http://127.0.0.1:8080/x/y", "13 / 14 photos, 3/4 of the size, see http"),
    ],
)
def test_of_a_path_the_page_says_the_name_only(said: str, shown: str) -> None:
    assert shown in without_folders(said)
    assert "me" not in without_folders(said).replace("name", "").split() and "/home" not in without_folders(said)


class Gui:
    """Takes commands as viser's does."""

    def __init__(self) -> None:
        self.added: list[tuple[str, str | None, str | None]] = []

    def add_command(self, label: str, hotkey: str | None, modifier: str | None) -> Any:
        self.added.append((label, hotkey, modifier))
        return SimpleNamespace(on_trigger=lambda _: None)


def test_the_help_lists_the_keys_that_were_added() -> None:
    session: Any = SimpleNamespace(client=SimpleNamespace(gui=Gui()), shortcuts=[])
    session.add_shortcut = lambda *shortcut: Session.add_shortcut(session, *shortcut)
    command(session, "Next photo", "arrowright", lambda: None, modifier="shift")
    command(session, "Delete <all>", "X", lambda: None)
    command(session, "Without a key", None, lambda: None)
    assert session.client.gui.added[0] == ("Next photo", "arrowright", "shift") and len(session.client.gui.added) == 3
    assert [tuple(shortcut) for shortcut in session.shortcuts] == [("Shift →", "Next photo"), ("X", "Delete <all>")]
    shown = table(session.shortcuts)
    assert shown.count("<tr>") == 2 and "Delete &lt;all&gt;" in shown
