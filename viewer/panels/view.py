"""View: what a pixel says, how large the picture is drawn, and over what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from splat.viewer.colormap import key
from splat.viewer.frames import Mode
from splat.viewer.modes import CELL, COUNT_MAP, DEPTH_MAP, DRAWERS
from splat.viewer.panels.text import number
from splat.viewer.panels.values import on_choice, within
from splat.viewer.session import Session
from splat.viewer.splats import BYTES_EACH, MOST, BrowserPreview

#: In the order of their keys, 1 to 7.
MODES: tuple[Mode, ...] = tuple(DRAWERS)
LEGENDS: dict[Mode, str] = {
    "depth": "distance along the view, scene units",
    "alpha": "white where nothing shows through",
    "normals": "red faces right, green up, blue you",
    "count": f"Gaussians over {CELL} × {CELL} pixels, hidden ones too",
    "ellipsoids": "each Gaussian to 1.5 standard deviations",
    "points": "each Gaussian's centre",
}
SCALES = {"full": 1.0, "¾": 0.75, "½": 0.5, "¼": 0.25}
AUTOMATIC = "automatic"
UPS = {
    "-Y": (0.0, -1.0, 0.0),
    "+Y": (0.0, 1.0, 0.0),
    "+Z": (0.0, 0.0, 1.0),
    "-Z": (0.0, 0.0, -1.0),
}


class ViewPanel:
    """What a pixel says, how large the picture is drawn, and over what."""

    def __init__(self, session: Session) -> None:
        self._session, gui = session, session.client.gui
        red, green, blue = session.source.background
        self._mode = gui.add_dropdown("Show", MODES, hint="What the picture says. Also the keys 1 to 7.")
        self._legend = gui.add_html("", visible=False)
        self._degree = gui.add_slider(
            "SH degree",
            0,
            1,
            1,
            0,
            visible=False,
            hint="How much colours may change with the direction that they are seen from; 0: not at all.",
        )
        size = gui.add_slider(
            "Size", 0.1, 2.0, 0.05, 1.0, hint="Of all Gaussians, times their own: small ones show what lies where."
        )
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
        fine = gui.add_checkbox(
            "Fine when still", True, hint="Draws a resting picture once more with four samples a pixel."
        )
        self._preview = BrowserPreview(session)
        in_browser = gui.add_checkbox(
            "Preview in the browser",
            False,
            hint="Your browser draws, smoothly if it has a GPU: a preview, without reflections and in another "
            f"renderer. It takes {BYTES_EACH} bytes of its memory for each Gaussian, {number(MOST)} at most.",
        )
        if not session.source.views:
            up = gui.add_dropdown("Up", tuple(UPS), hint="Which direction of the file is up; files do not say.")
            on_choice(up, lambda name: session.set_up(UPS[name]))
        home = gui.add_button("Back to the start", hint="Puts the camera where it was when the page opened.")
        on_choice(self._mode, lambda mode: self._choose_mode(cast(Mode, mode)))
        self._degree.on_update(lambda event: self._choose_degree() if event.client else None)
        size.on_update(lambda _: session.choose(size=within(size, session.chosen.size)))
        on_choice(moving, lambda name: session.choose(moving_scale=SCALES.get(name)))
        on_choice(still, lambda name: session.choose(still_scale=SCALES[name]))
        background.on_update(lambda _: self._choose_background(background.value))
        fine.on_update(lambda _: session.choose(fine=fine.value))
        in_browser.on_update(lambda _: self._preview.turn(in_browser.value))
        home.on_click(lambda _: session.go_home())
        for key_number, mode in enumerate(MODES, 1):
            handle = gui.add_command(f"Show: {mode}", hotkey=str(key_number))  # pyright: ignore[reportArgumentType]
            handle.on_trigger(lambda _, mode=mode: setattr(self._mode, "value", mode))
        session.add_shortcut(f"1 to {len(MODES)}", f"show {', '.join(MODES)}")
        session.pump.begin(self._find_degree())

    def refresh(self) -> None:
        self._preview.refresh()
        legend = self._describe()
        if legend != self._legend.content:
            self._legend.content = legend
            self._legend.visible = bool(legend)

    def _describe(self) -> str:
        mode, frame = self._session.chosen.mode, self._session.frame
        text = LEGENDS.get(mode, "")
        if not text:
            return ""
        strip = ""
        if frame is not None and frame.job.request.mode == mode and frame.ends is not None:
            low, high = (f"{value:.3g}" for value in frame.ends)
            strip = key(DEPTH_MAP if mode == "depth" else COUNT_MAP, low, high)
        return f'{strip}<div style="padding: 0 1em 0.6em; font-size: 0.8em; opacity: 0.7">{text}</div>'

    def _choose_mode(self, mode: Mode) -> None:
        self._session.choose(mode=mode)
        self.refresh()

    def _choose_background(self, color: tuple[int, int, int]) -> None:
        red, green, blue = (min(max(value, 0), 255) / 255 for value in color)
        self._session.choose(background=(red, green, blue))

    def _choose_degree(self) -> None:
        degree = int(within(self._degree, self._degree.max))
        self._session.choose(sh_degree=None if degree == self._degree.max else degree)

    def _find_degree(self) -> Iterator[None]:
        """The scene's own degree is known where the Gaussians are."""
        degree = self._session.source.with_gaussians(lambda gaussians: gaussians.sh_degree)
        self._degree.max = self._degree.value = max(degree, 1)
        self._degree.visible = degree > 0
        yield
