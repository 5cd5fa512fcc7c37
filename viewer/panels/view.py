"""View: what is on the screen now, how large it is drawn, and over what."""

from __future__ import annotations

from splat.viewer.session import Session

SCALES = {"full": 1.0, "¾": 0.75, "½": 0.5, "¼": 0.25}
AUTOMATIC = "automatic"
WAITING = "Waiting for the first picture…"
UPS = {
    "-Y": (0.0, -1.0, 0.0),
    "+Y": (0.0, 1.0, 0.0),
    "+Z": (0.0, 0.0, 1.0),
    "-Z": (0.0, 0.0, -1.0),
}


class StatusLine:
    """What is on the screen, or why nothing is."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._text = session.client.gui.add_markdown(WAITING)

    def refresh(self) -> None:
        text = self._describe()
        if text != self._text.content:
            self._text.content = text

    def _describe(self) -> str:
        frame = self._session.frame
        if self._session.problem:
            return f"⚠️ {self._session.problem}"
        if frame is None or frame.image is None:
            return WAITING
        height, width = frame.image.shape[:2]
        parts = [f"{1000 * frame.seconds:.0f} ms", f"{width} × {height} full"]
        if frame.job.quality == "preview":
            parts = [f"{frame.fps} fps", parts[0], f"{width} × {height} preview"]
        parts.append(f"{number(frame.gaussians)} Gaussians")
        if frame.job.generation:
            parts.append(f"step {number(frame.job.generation)}")
        return " · ".join(parts)


class ViewPanel:
    """How large the picture is drawn, and over what."""

    def __init__(self, session: Session) -> None:
        gui = session.client.gui
        red, green, blue = session.source.background
        with gui.add_folder("View", expand_by_default=session.has_room):
            moving = gui.add_dropdown(
                "While moving",
                (AUTOMATIC, *SCALES),
                hint="Size of the picture while the camera moves, as a share of the window. "
                "Automatic takes the largest that this machine draws in time.",
            )
            still = gui.add_dropdown(
                "When still", tuple(SCALES), hint="Size of the picture once the camera rests, as a share of the window."
            )
            background = gui.add_rgb(
                "Background",
                (round(255 * red), round(255 * green), round(255 * blue)),
                hint="What shows where the scene lets light through.",
            )
            if not session.source.views:
                up = gui.add_dropdown("Up", tuple(UPS), hint="Which direction of the file is up; files do not say.")
                up.on_update(lambda _: session.set_up(UPS[up.value]))
            home = gui.add_button("Back to the start", hint="Puts the camera where it was when the page opened.")
        moving.on_update(lambda _: session.choose(moving_scale=SCALES.get(moving.value)))
        still.on_update(lambda _: session.choose(still_scale=SCALES[still.value]))
        background.on_update(lambda _: session.choose(background=tuple(value / 255 for value in background.value)))
        home.on_click(lambda _: session.go_home())

    def refresh(self) -> None:
        """Nothing here changes by itself."""


def number(value: int) -> str:
    """With thin spaces between thousands, which read the same in every language."""
    return f"{value:,}".replace(",", "\u202f")
