"""The status line: what is on the screen, or why nothing is."""

from __future__ import annotations

import html

from splat.viewer.panels.text import number, without_folders
from splat.viewer.session import Session
from splat.viewer.source import TrainingSource

WAITING = "Waiting for the first picture…"
IN_BROWSER = "A preview, drawn by your browser"
EMPTY = "This scene is empty: its file holds no Gaussians."


class StatusLine:
    """One line above all other controls."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._text = session.client.gui.add_html(_line(WAITING))

    def refresh(self) -> None:
        text = _line(self.text)
        if text != self._text.content:
            self._text.content = text

    @property
    def text(self) -> str:
        """What it says now."""
        frame = self._session.frame
        if self._session.problem:
            return f"⚠️ {without_folders(self._session.problem)}"
        if self._session.chosen.in_browser:
            return IN_BROWSER
        if frame is None or frame.image is None:
            return WAITING
        if not frame.gaussians:
            return EMPTY
        height, width = frame.image.shape[:2]
        parts = [f"{width} × {height} {frame.job.quality}"]
        if frame.job.quality == "preview":
            parts = [f"{self._session.fps} fps", f"{1000 * self._session.latency:.0f} ms", *parts]
        parts.append(f"{number(frame.gaussians)} Gaussians")
        if isinstance(self._session.source, TrainingSource):
            parts.append(f"step {number(frame.job.generation)}")
        return " · ".join(parts)


def _line(text: str) -> str:
    """As the page shows it, and as its own script finds it: where the controls are folded, that shows it."""
    return f'<p class="splat-status" style="margin: 0.5em 0.8em; font-size: 0.875em">{html.escape(text)}</p>'
