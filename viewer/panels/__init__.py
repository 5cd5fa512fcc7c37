"""The controls beside the picture: one file a group, each built anew for every browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from splat.viewer.panels.cameras import CamerasPanel
from splat.viewer.panels.edit import EditPanel
from splat.viewer.panels.export import ExportPanel
from splat.viewer.panels.help import Help
from splat.viewer.panels.measure import MeasurePanel
from splat.viewer.panels.path import PathPanel
from splat.viewer.panels.share import SharePanel
from splat.viewer.panels.statistics import Statistics
from splat.viewer.panels.status import StatusLine
from splat.viewer.panels.train import TrainPanel
from splat.viewer.panels.view import ViewPanel
from splat.viewer.session import Session
from splat.viewer.source import TrainingSource


class Panel(Protocol):
    """A group of controls."""

    def refresh(self) -> None:
        """Called twice a second: what is shown follows what is so."""
        ...


def add_panels(session: Session) -> list[Panel]:
    """Builds the page's controls for one browser: the status line, and below it a tab for each group."""
    panels: list[Panel] = [StatusLine(session)]
    tabs = session.client.gui.add_tab_group()
    for title, make in _groups(session):
        with tabs.add_tab(title):
            panels.append(make(session))
    panels += [Statistics(session), Help(session)]
    return panels


def _groups(session: Session) -> list[tuple[str, Callable[[Session], Panel]]]:
    """The groups that this scene has, as tabs from left to right."""
    groups: list[tuple[str, Callable[[Session], Panel]]] = [("View", ViewPanel)]
    if isinstance(session.source, TrainingSource):
        groups.insert(0, ("Train", TrainPanel))
    if session.source.views:
        groups.append(("Photos", CamerasPanel))
    groups += [("Edit", EditPanel), ("Measure", MeasurePanel), ("Export", ExportPanel)]
    groups += [("Path", PathPanel), ("Share", SharePanel)]
    return groups
