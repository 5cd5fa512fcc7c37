"""Photos: go where one was taken, see it beside the render, and how close the two are."""

from __future__ import annotations

from typing import cast

import numpy as np

from splat.viewer.colormap import key
from splat.viewer.commands import command
from splat.viewer.compare import DIFFERENCE_MAP, DIFFERENCE_MOST
from splat.viewer.frames import Compare
from splat.viewer.frusta import Frusta
from splat.viewer.panels.text import number, paragraph
from splat.viewer.panels.values import on_choice, within
from splat.viewer.session import Session
from splat.viewer.source import TrainingSource

CHOICES: tuple[Compare, ...] = ("off", "side by side", "wipe", "difference", "photo")
STEPS = {"◀": -1, "this photo": 0, "▶": 1}
LEGEND = {
    "off": "",
    "side by side": "render, then photo",
    "wipe": "render left of the line, photo right",
    "difference": "how far each pixel of the render is from the photo's",
    "photo": "the photo alone",
}
BY_NAME, WORST_FIRST = "by name", "worst first"


class CamerasPanel:
    """The list of photos, the way through them, the comparison, and the score of each."""

    def __init__(self, session: Session) -> None:
        gui = session.client.gui
        self._session, self._gallery, self._frusta = session, session.gallery, Frusta(session)
        self._order = list(range(len(session.source.views)))
        self._listed: dict[int, float] = {}
        self._pictured: int | None = None
        self._photo = gui.add_dropdown(
            "Photo",
            self._labels(),
            hint="Takes the camera where this photo was taken. Training never saw the held-out ones.",
        )
        self._by = gui.add_dropdown(
            "Order", (WORST_FIRST, BY_NAME), visible=False, hint="Of the list above, and of the way through it."
        )
        way = gui.add_button_group(
            "Go to",
            tuple(STEPS),
            hint="The photo before, this one again, or the next; also Shift with the arrow keys.",
        )
        self._compare = gui.add_dropdown("Compare", CHOICES, hint="Shows the photo with the render. Also the key C.")
        self._wipe = gui.add_slider(
            "Line", 0.0, 1.0, 0.01, 0.5, visible=False, hint="Where render ends and photo begins."
        )
        self._key = gui.add_html(key(DIFFERENCE_MAP, "0", f"{DIFFERENCE_MOST:.0%} or more"), visible=False)
        self._text = gui.add_markdown("")
        self._image = gui.add_image(np.zeros((1, 1, 3), np.uint8), visible=False)
        cameras = gui.add_checkbox(
            "Show cameras",
            False,
            hint="Where the photos were taken, the held-out ones in orange. A click on one goes there.",
        )
        self._measure = gui.add_button(
            "Measure all photos", hint="Draws every photo's view, in the background, and says how close it comes."
        )
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._summary = gui.add_markdown("", visible=False)
        self._problem = gui.add_html("")
        on_choice(self._photo, self._visit_label, by_hand=True)
        self._by.on_update(lambda _: self._list())
        on_choice(way, lambda step: self._go_by(STEPS[step]))
        on_choice(self._compare, lambda compare: self._choose_compare(cast(Compare, compare)))
        self._wipe.on_update(lambda _: session.choose(wipe=within(self._wipe, session.chosen.wipe)))
        cameras.on_update(lambda _: self._show_cameras(cameras.value))
        self._measure.on_click(lambda _: self._toggle_measuring())
        command(session, "Next photo", "arrowright", lambda: self._go_by(1), modifier="shift")
        command(session, "Previous photo", "arrowleft", lambda: self._go_by(-1), modifier="shift")
        command(session, "Compare with the photo: next way", "C", self._next_compare)

    def refresh(self) -> None:
        gallery, session = self._gallery, self._session
        if not gallery.measuring and self._listed != gallery.scores:
            self._list()
        if session.view is not None:
            label = self._label(session.view)
            if self._photo.value != label:
                self._photo.value = label
            gallery.ask([session.view])
        self._show_image()
        self._frusta.refresh()
        _set(self._text, "content", self._describe())
        _set(self._measure, "label", "Stop measuring" if gallery.measuring else "Measure all photos")
        _set(self._progress, "visible", gallery.measuring)
        if gallery.measuring:
            _set(self._progress, "value", 100 * len(gallery.scores) / len(self._order))
        summary = self._summarise()
        _set(self._summary, "content", summary)
        _set(self._summary, "visible", bool(summary))
        _set(self._problem, "content", paragraph(gallery.problem))

    def _label(self, index: int) -> str:
        view = self._session.source.views[index]
        score = f"{self._listed[index]:.1f} dB · " if index in self._listed else ""
        return f"{score}{view.name}" + (" (held out)" if view.held_out else "")

    def _labels(self) -> list[str]:
        return [self._label(index) for index in self._order]

    def _list(self) -> None:
        """Puts the scores into the list, and it into its order."""
        self._listed = dict(self._gallery.scores)
        self._by.visible = bool(self._listed)
        worst_first = self._listed and self._by.value == WORST_FIRST
        self._order.sort(key=lambda index: (self._listed.get(index, np.inf) if worst_first else 0.0, index))
        self._photo.options = self._labels()
        if self._session.view is not None:
            self._photo.value = self._label(self._session.view)

    def _show_image(self) -> None:
        """The photo, small, unless it is on the canvas already."""
        session, thumbnails = self._session, self._gallery.thumbnails
        if session.view in thumbnails and session.view != self._pictured:
            self._pictured = session.view
            self._image.image = thumbnails[session.view].numpy()
        compared = session.at_photo and session.chosen.compare != "off"
        _set(self._image, "visible", session.view == self._pictured and not compared)

    def _describe(self) -> str:
        session = self._session
        if session.view is None:
            return ""
        place = f"Photo {session.view + 1} of {len(self._order)}"
        if not session.at_photo:
            return f"{place}. The camera has left its place."
        score = "" if session.psnr is None else f" · **PSNR {session.psnr:.2f} dB**"
        legend = LEGEND[session.chosen.compare]
        return f"{place}{score}" + (f"  \nShown: {legend}." if legend else "")

    def _summarise(self) -> str:
        """What measuring came to."""
        gallery, source = self._gallery, self._session.source
        if gallery.measuring or not gallery.scores:
            return ""
        lines: list[str] = []
        for name, held_out in (("Training", False), ("Held-out", True)):
            scores = [score for index, score in gallery.scores.items() if source.views[index].held_out == held_out]
            if scores:
                lines.append(f"{name} photos: **{np.mean(scores):.2f} dB**, mean of {len(scores)}")
        if gallery.measured_at != source.generation:
            lines.append(
                f"Measured from step {number(gallery.measured_at)} on."
                if isinstance(source, TrainingSource)
                else "The scene has changed since; measure again."
            )
        return "  \n".join(lines)

    def _go_by(self, steps: int) -> None:
        if self._session.view is not None:
            place = self._order.index(self._session.view) + steps
            self._frusta.visit(self._order[place % len(self._order)])
            self.refresh()

    def _visit_label(self, label: str) -> None:
        # The list may be in another order by now.
        labels = self._labels()
        if label in labels:
            self._frusta.visit(self._order[labels.index(label)])

    def _show_cameras(self, wanted: bool) -> None:
        self._frusta.wanted = wanted
        self._session.soon(self._frusta.refresh)

    def _toggle_measuring(self) -> None:
        if self._gallery.measuring:
            self._gallery.stop()
        else:
            self._gallery.measure()
        self.refresh()

    def _choose_compare(self, compare: Compare) -> None:
        self._wipe.visible = compare == "wipe"
        self._key.visible = compare == "difference"
        if compare != "off" and not self._session.at_photo and self._session.view is not None:
            self._frusta.visit(self._session.view)
        self._session.choose(compare=compare)
        self.refresh()

    def _next_compare(self) -> None:
        self._compare.value = CHOICES[(CHOICES.index(self._session.chosen.compare) + 1) % len(CHOICES)]


def _set(handle: object, name: str, value: object) -> None:
    """Changes a property of a control, which is sent to the browser, only where it is another."""
    if getattr(handle, name) != value:
        setattr(handle, name, value)
