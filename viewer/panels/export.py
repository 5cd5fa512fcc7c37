"""Export: the scene as it is now, in any format that this version writes."""

from __future__ import annotations

from splat.viewer.panels.save import Save
from splat.viewer.saving import written
from splat.viewer.session import Session


class ExportPanel:
    """What is saved or downloaded, and how large it will be."""

    def __init__(self, session: Session) -> None:
        self._save = Save(session, written(), download=True, label="Save beside the scene")

    def refresh(self) -> None:
        self._save.refresh()
