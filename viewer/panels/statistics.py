"""Statistics: how often and how soon pictures come, what is in them, and what memory that takes."""

from __future__ import annotations

import html
import os
from pathlib import Path

import torch

from splat.viewer.panels.text import number
from splat.viewer.session import Session


class Statistics:
    """A folded table below all other controls."""

    def __init__(self, session: Session) -> None:
        self._session = session
        with session.client.gui.add_folder("Statistics", expand_by_default=False):
            self._table = session.client.gui.add_html("")

    def refresh(self) -> None:
        rows = "".join(
            f'<tr><td style="opacity: 0.7">{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        table = f'<table style="font-size: 0.875em; font-variant-numeric: tabular-nums; width: 100%">{rows}</table>'
        if table != self._table.content:
            self._table.content = table

    def _rows(self) -> list[tuple[str, str]]:
        session, frame = self._session, self._session.frame
        single = session.single
        if frame is None or frame.image is None or single is None:
            return []
        height, width = frame.image.shape[:2]
        kind = {"preview": "while moving", "full": "at rest", "fine": "at rest, four samples a pixel"}
        rows = [
            ("Pictures a second, moving", number(session.fps)),
            ("From movement to picture", f"{1000 * session.latency:.0f} ms"),
            ("Time to draw", f"{1000 * single.seconds:.0f} ms"),
            ("Picture", f"{width} × {height}, {kind.get(frame.job.quality, '')}"),
            ("JPEG", f"{number(session.picture_bytes >> 10)} KiB at quality {frame.job.jpeg_quality}"),
            ("Gaussians", f"{number(frame.gaussians)}, {number(single.drawn)} in view"),
            ("Memory of the viewer", memory()),
            ("Browsers", number(len(session.pump.scheduler))),
        ]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            rows.append(("GPU memory", f"{number(torch.cuda.memory_reserved() >> 20)} MiB"))
        return rows


def memory() -> str:
    """What of this process is in memory; unknown where the system does not say it as Linux does."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return "unknown"
    return f"{number(pages * os.sysconf('SC_PAGE_SIZE') >> 20)} MiB"
