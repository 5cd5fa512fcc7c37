"""View: how large the picture is drawn, and over what."""

from __future__ import annotations

from splat.viewer.session import Session

SCALES = {"full": 1.0, "¾": 0.75, "½": 0.5, "¼": 0.25}
AUTOMATIC = "automatic"
UPS = {
    "-Y": (0.0, -1.0, 0.0),
    "+Y": (0.0, 1.0, 0.0),
    "+Z": (0.0, 0.0, 1.0),
    "-Z": (0.0, 0.0, -1.0),
}


class ViewPanel:
    """How large the picture is drawn, and over what."""

    def __init__(self, session: Session) -> None:
        gui = session.client.gui
        red, green, blue = session.source.background
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
