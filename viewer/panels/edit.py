"""Edit: crop a finished scene, delete what floats in it, take that back, and save what is left. A scene that trains can
be looked at cropped."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from splat.viewer.commands import command
from splat.viewer.edits import Edits
from splat.viewer.marks import Marks
from splat.viewer.panels.crop import Crop
from splat.viewer.panels.save import Save
from splat.viewer.panels.select import Select
from splat.viewer.panels.text import number
from splat.viewer.panels.values import on_choice
from splat.viewer.saving import kept_format
from splat.viewer.session import Session
from splat.viewer.source import FileSource

KEEP, DELETE = "Keep inside", "Delete inside"
UNDO, REDO = "Undo", "Redo"


class EditPanel:
    """The crop, the selection, and the way back."""

    def __init__(self, session: Session) -> None:
        gui, source = session.client.gui, session.source
        self._session, self._select = session, None
        self._source = source if isinstance(source, FileSource) else None
        self._generation = 0
        self._crop = Crop(session, self._mark, "dimmed" if self._source else "hidden")
        if self._source is None:
            return
        self._cuts = crop = gui.add_button_group(
            "Region",
            (KEEP, DELETE),
            hint="Deletes what lies outside the region, or what lies in it. Can be undone.",
            visible=False,
        )
        self._select = Select(session, self._source, self._mark, self._delete)
        steps = gui.add_button_group("Edits", (UNDO, REDO), hint="Also Ctrl Z and Ctrl Shift Z.")
        self._text = gui.add_markdown("")
        on_choice(crop, lambda side: self._cut(side == KEEP))
        on_choice(steps, lambda step: self._step(Edits.undo if step == UNDO else Edits.redo))
        self._save = None
        if self._source.path is not None:
            self._save = Save(session, [kept_format(self._source.path)], download=False, label="Save edited scene")
        command(session, "Undo the last edit", "Z", lambda: self._step(Edits.undo), modifier="cmd/ctrl")
        command(session, "Redo it", "Z", lambda: self._step(Edits.redo), modifier="cmd/ctrl+shift")
        command(session, "Delete what is selected", "delete", self._select.delete)

    def refresh(self) -> None:
        self._crop.refresh()
        if self._source is None or self._select is None:
            return
        # Another browser may have edited the scene.
        if self._generation != self._source.generation:
            self._generation = self._source.generation
            self._session.soon(self._select.update)
        edits = self._source.edits
        text = f"{number(edits.left)} of {number(len(edits.keep))} Gaussians left"
        if edits.undoable:
            text += f"  \nLast: {edits.undoable}"
        if text != self._text.content:
            self._text.content = text
        if self._save is not None:
            self._save.refresh()

    def _mark(self) -> None:
        """Shows what is cropped and selected."""
        region, rows, generation = self._crop.region, None, 0
        if self._select is not None:
            rows, generation = self._select.rows, self._select.generation
            self._cuts.visible = region is not None
        marks = Marks(region, self._crop.outside, rows, generation)
        self._session.choose(marks=None if region is None and rows is None else marks)

    def _cut(self, keep: bool) -> None:
        region = self._crop.region
        if region is None:
            self._session.tell("Choose a box or a sphere under Crop first, and place it.")
            return

        def work() -> None:
            assert self._source is not None
            inside = self._source.with_gaussians(lambda gaussians: region.contains(gaussians.means))
            where = ("outside" if keep else "inside") + f" the {region.shape}"
            self._delete(self._source.edits.whole(~inside if keep else inside), where)

        self._session.soon(work)

    def _delete(self, rows: Tensor, what: str) -> None:
        """Deletes some of the whole scene, [N] bool; on the drawing thread."""
        assert self._source is not None
        count = int((rows & self._source.edits.keep).sum())
        self._change(lambda edits: edits.delete(rows, f"{number(count)} {what} deleted"))
        self._crop.stop()

    def _step(self, step: Callable[[Edits], object]) -> None:
        self._session.soon(lambda: self._change(step))

    def _change(self, change: Callable[[Edits], object]) -> None:
        assert self._source is not None and self._select is not None
        self._source.edit(change)
        self._select.update()
