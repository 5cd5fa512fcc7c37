"""Photos: go where one was taken, see it beside the render, and how close the two are."""

from __future__ import annotations

from typing import cast

from splat.viewer.commands import command
from splat.viewer.frames import Compare
from splat.viewer.session import Session

CHOICES: tuple[Compare, ...] = ("off", "side by side", "wipe")
STEPS = {"◀": -1, "this photo": 0, "▶": 1}
LEGEND = {"off": "", "side by side": "render, then photo", "wipe": "render left of the line, photo right"}


class CamerasPanel:
    """The list of photos, the way through them, and the comparison."""

    def __init__(self, session: Session) -> None:
        gui, views = session.client.gui, session.source.views
        self._session = session
        self._labels = [f"{view.name} (held out)" if view.held_out else view.name for view in views]
        self._photo = gui.add_dropdown(
            "Photo",
            self._labels,
            hint="Puts the camera where this photo was taken. Training never saw the held-out ones.",
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
        self._text = gui.add_markdown("")
        self._photo.on_update(
            lambda event: session.go_to(self._labels.index(self._photo.value)) if event.client else None
        )
        way.on_click(lambda _: self._go_by(STEPS[way.value]))
        self._compare.on_update(lambda _: self._choose_compare())
        self._wipe.on_update(lambda _: session.choose(wipe=self._wipe.value))
        command(session, "Next photo", "arrowright", lambda: self._go_by(1), modifier="shift")
        command(session, "Previous photo", "arrowleft", lambda: self._go_by(-1), modifier="shift")
        command(session, "Compare with the photo: next way", "C", self._next_compare)

    def refresh(self) -> None:
        session = self._session
        if session.view is not None and self._photo.value != self._labels[session.view]:
            self._photo.value = self._labels[session.view]
        text = self._describe()
        if text != self._text.content:
            self._text.content = text

    def _describe(self) -> str:
        session = self._session
        if session.view is None:
            return ""
        place = f"Photo {session.view + 1} of {len(self._labels)}"
        if not session.at_photo:
            return f"{place}. The camera has left its place."
        score = "" if session.psnr is None else f" · **PSNR {session.psnr:.2f} dB**"
        legend = LEGEND[session.chosen.compare]
        return f"{place}{score}" + (f"  \nShown: {legend}." if legend else "")

    def _go_by(self, steps: int) -> None:
        self._session.go_by(steps)
        self.refresh()

    def _choose_compare(self) -> None:
        compare = cast(Compare, self._compare.value)
        self._wipe.visible = compare == "wipe"
        if compare != "off" and not self._session.at_photo and self._session.view is not None:
            self._session.go_to(self._session.view)
        self._session.choose(compare=compare)
        self.refresh()

    def _next_compare(self) -> None:
        following = CHOICES[(CHOICES.index(cast(Compare, self._compare.value)) + 1) % len(CHOICES)]
        self._compare.value = following
