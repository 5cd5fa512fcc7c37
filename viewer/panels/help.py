"""Help: what every key and gesture does."""

from __future__ import annotations

import html
from collections.abc import Iterable

from splat.viewer.commands import CAMERA, Shortcut, command
from splat.viewer.session import Session


class Help:
    """A button and a key that open the list; the list is of what has been added to this page."""

    def __init__(self, session: Session) -> None:
        self._session = session
        button = session.client.gui.add_button(
            "Keys and gestures", hint="What the mouse, the fingers and the keys do. Also the key H.", color="gray"
        )
        button.on_click(lambda _: self._show())
        command(session, "Keys and gestures", "H", self._show)

    def refresh(self) -> None:
        """The list is made when it is opened."""

    def _show(self) -> None:
        gui = self._session.client.gui
        with gui.add_modal("Keys and gestures") as modal:
            gui.add_html(table(CAMERA) + table(sorted(self._session.shortcuts)))
            close = gui.add_button("Close")
            close.on_click(lambda _: modal.close())


def table(shortcuts: Iterable[Shortcut]) -> str:
    """Keys and what they do, as HTML."""
    rows = "".join(
        f"<tr><td style='white-space: nowrap; padding: 0.1em 1.2em 0.1em 0.8em'><b>{html.escape(keys)}</b></td>"
        f"<td>{html.escape(does[:1].upper() + does[1:])}</td></tr>"
        for keys, does in shortcuts
    )
    return f"<table style='font-size: 0.9em; margin-bottom: 0.8em'>{rows}</table>"
