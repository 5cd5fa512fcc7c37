"""Select: Gaussians in a rectangle of the picture, or those that are what floaters are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.viewer.panels.text import number
from splat.viewer.panels.values import on_choice, within
from splat.viewer.pivot import shows_the_scene
from splat.viewer.selection import Limits, in_rectangle, isolation
from splat.viewer.session import Session
from splat.viewer.source import FileSource

if TYPE_CHECKING:
    import viser

DELETE, INVERT, CLEAR = "Delete", "Invert", "Clear"


class Select:
    """The selection of one browser, and the controls that make it.

    Args:
        changed: called on the drawing thread whenever other Gaussians are selected.
        delete: deletes some, [N] bool of the whole scene, called on the drawing thread.

    Attributes:
        rows: [M] bool of what is left of the scene; None while nothing is selected. It changes on the drawing thread.
        generation: of the scene, for which that holds.
    """

    def __init__(
        self,
        session: Session,
        source: FileSource,
        changed: Callable[[], None],
        delete: Callable[[Tensor, str], object],
    ) -> None:
        gui, scene = session.client.gui, session.client.scene
        self._session, self._source, self._changed, self._delete = session, source, changed, delete
        self.rows: Tensor | None = None
        self.generation = 0
        self._picked = torch.zeros(len(source.edits.keep), dtype=torch.bool)
        self._searching = False
        self._isolation: tuple[Gaussians, Tensor] | None = None
        self._drag = gui.add_checkbox(
            "Drag to select",
            False,
            hint="Dragging in the picture then selects a rectangle instead of turning the view. "
            "With a keyboard, hold Shift and drag.",
        )
        self._through = gui.add_checkbox(
            "Behind too", False, hint="A rectangle then also selects what is hidden behind something."
        )
        self._opacity = gui.add_slider(
            "Fainter than", 0.0, 1.0, 0.01, 0.0, hint="Selects what is less opaque than this. 0: no limit."
        )
        self._largest = gui.add_slider(
            "Largest %", 0.0, 20.0, 0.1, 0.0, hint="Selects the largest Gaussians, so many in a hundred. 0: no limit."
        )
        self._loneliest = gui.add_slider(
            "Loneliest %",
            0.0,
            20.0,
            0.1,
            0.0,
            hint="Selects those with the fewest others near them, so many in a hundred. 0: no limit. "
            "With several limits, what meets all of them.",
        )
        self._text = gui.add_markdown("")
        actions = gui.add_button_group(
            "Selected", (DELETE, INVERT, CLEAR), hint="What to do with what is magenta. Delete can be undone."
        )
        for slider in (self._opacity, self._largest, self._loneliest):
            slider.on_update(lambda event: session.soon(self.update) if event.client else None)
        self._drag.on_update(lambda _: self._listen())
        scene.on_rect_select(modifier="shift")(self._rectangle)
        act = {DELETE: self.delete, INVERT: self._invert, CLEAR: self.clear}
        on_choice(actions, lambda action: act[action]())

    def update(self) -> None:
        """Finds out what is selected of what is left; on the drawing thread."""
        keep = self._source.edits.keep
        rows = self._source.with_gaussians(self._limited).cpu() | self._picked[keep]
        self.rows, self.generation = None, self._source.generation
        self.rows = rows if rows.any() else None
        text = f"**{number(int(rows.sum()))}** of {number(len(rows))} selected"
        self._text.content = "Looking for neighbours…" if self._searching else text
        self._changed()

    def delete(self) -> None:
        """Deletes what is selected."""

        def work() -> None:
            if self.rows is None:
                self._session.tell("Nothing is selected yet; drag a rectangle or set a limit first.")
                return
            whole = self._source.edits.whole(self.rows)
            self._reset()
            self._delete(whole, "selected")

        self._session.soon(work)

    def clear(self) -> None:
        """Selects nothing."""

        def work() -> None:
            self._reset()
            self.update()

        self._session.soon(work)

    def _invert(self) -> None:
        def work() -> None:
            edits = self._source.edits
            rows = torch.zeros(edits.left, dtype=torch.bool) if self.rows is None else self.rows
            self._reset()
            self._picked = edits.whole(~rows)
            self.update()

        self._session.soon(work)

    def _reset(self) -> None:
        self._picked = torch.zeros_like(self._picked)
        for slider in (self._opacity, self._largest, self._loneliest):
            slider.value = 0.0

    def _lonely(self, gaussians: Gaussians) -> Tensor | None:
        """[M] isolation of what is left; None while that is found out, on a thread of its own: it takes seconds."""
        known = self._isolation
        if known is not None and known[0] is gaussians:
            return known[1]
        if not self._searching:
            self._searching = True
            threading.Thread(target=self._search, args=(gaussians,), daemon=True).start()
        return None

    def _search(self, gaussians: Gaussians) -> None:
        try:
            self._isolation = gaussians, isolation(gaussians.means)
        finally:
            self._searching = False
        self._session.soon(self.update)

    def _limited(self, gaussians: Gaussians) -> Tensor:
        opacity, largest, loneliest = (within(limit, 0.0) for limit in (self._opacity, self._largest, self._loneliest))
        limits = Limits(opacity, largest / 100, loneliest / 100)
        return limits.rows(gaussians, self._lonely(gaussians) if limits.loneliest else None)

    def _listen(self) -> None:
        scene = self._session.client.scene
        if self._drag.value:
            scene.on_rect_select()(self._rectangle)
        else:
            scene.remove_rect_select_callback(self._rectangle)
            scene.on_rect_select(modifier="shift")(self._rectangle)

    def _rectangle(self, event: viser.SceneRectSelectEvent) -> None:
        session = self._session

        def inside(gaussians: Gaussians) -> Tensor:
            marks, source = session.chosen.marks, self._source
            shown = gaussians if marks is None else marks.apply(gaussians, source.generation)
            return in_rectangle(
                shown,
                session.camera(),
                event.screen_min,
                event.screen_max,
                through=self._through.value,
                antialias=source.antialias,
                near=session.space.near,
            )

        def work() -> None:
            self._picked = self._picked | self._source.edits.whole(self._source.with_gaussians(inside).cpu())
            self.update()

        if shows_the_scene(session):
            session.soon(work)
