"""A scene file that is replaced while it is shown."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from splat.viewer.panels.text import paragraph

if TYPE_CHECKING:
    from splat.viewer.session import Session

Stamp = tuple[int, int, int]


class FileWatch:
    """Notices that another file has taken a file's place; made before that is read.

    Attributes:
        name: the file's.
        replaced: whether there is another, and it is whole.
        reload: set by whoever wants to see it.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.replaced, self.reload = path.name, False, threading.Event()
        self._path = path
        self._shown = self._last = self._stamp()

    def look(self) -> None:
        """Looks at the file, now and then; one that still grows is not whole."""
        now = self._stamp()
        self.replaced = now is not None and now == self._last and now != self._shown
        self._last = now

    def _stamp(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


class ReloadOffer:
    """A sentence and a button above all other controls, once the file has been replaced."""

    def __init__(self, session: Session, watch: FileWatch) -> None:
        gui = session.client.gui
        self._watch = watch
        self._text = gui.add_html(paragraph(f"{watch.name} was replaced on disk."), visible=False)
        self._button = gui.add_button(
            "Reload",
            visible=False,
            hint="Reads the file again and shows it to all who look; what was edited here and not saved is lost.",
        )
        self._button.on_click(lambda _: watch.reload.set())

    def refresh(self) -> None:
        if self._button.visible != self._watch.replaced:
            self._text.visible = self._button.visible = self._watch.replaced
