"""Share: this view as a picture to keep, and as a link that leads here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from html import escape

from splat.errors import SplatError
from splat.viewer.address import address
from splat.viewer.panels.text import without_folders
from splat.viewer.panels.values import pixels
from splat.viewer.record import MOST_SIDE, file_name, screenshot
from splat.viewer.session import Session

log = logging.getLogger(__name__)

SIZES = {"1080p": (1920, 1080), "4K": (3840, 2160)}
WINDOW, TYPED = "window", "other"
ACCESS = {
    False: "It opens in a browser that has opened this viewer's own link before, and gives away nothing but where the "
    "camera is.",
    True: "Whoever has it can look and use the controls as long as this viewer runs: do not post it in public.",
}


class SharePanel:
    """Pictures and links of what this browser sees."""

    def __init__(self, session: Session) -> None:
        gui = session.client.gui
        self._session = session
        with gui.add_folder("Picture"):
            self._size = gui.add_dropdown(
                "Size",
                [WINDOW, *SIZES, TYPED],
                hint="Of the picture, pixels. What the window shows from top to bottom, the picture does too.",
            )
            self._typed = gui.add_vector2(
                "Pixels",
                (1080, 1080),
                min=(2, 2),
                max=(MOST_SIDE, MOST_SIDE),
                step=1,
                visible=False,
                hint="Width and height.",
            )
            self._smooth = gui.add_checkbox(
                "Smooth edges", True, hint="Draws it twice as large and makes it smaller; takes four times as long."
            )
            self._save = gui.add_button("Save picture", hint="Draws this view and downloads it as a PNG file.")
        with gui.add_folder("Link"):
            self._access = gui.add_checkbox(
                "With access", False, hint="Whether the link lets in who has not been here before."
            )
            make = gui.add_button("Link to this view", hint="Makes a link that opens the page where the camera is now.")
            self._link = gui.add_html("", visible=False)
        self._size.on_update(lambda _: setattr(self._typed, "visible", self._size.value == TYPED))
        self._save.on_click(lambda _: self._start_picture())
        self._access.on_update(lambda _: self._show_link() if self._link.visible else None)
        make.on_click(lambda _: self._show_link())

    def refresh(self) -> None:
        """Nothing here changes by itself."""

    def _start_picture(self) -> None:
        self._save.disabled = True
        self._session.pump.begin(self._picture())

    def _picture(self) -> Iterator[None]:
        session, request = self._session, self._session.chosen
        try:
            width, height = self._pixels()
            name = file_name(session.source.title, f"-{width}x{height}.png")
            yield from screenshot(
                session.source,
                request,
                session.space.camera(request.pose, width, height),
                session.space.near,
                smooth=bool(self._smooth.value),
                finish=lambda png: session.client.send_file_download(name, png, save_immediately=True),
            )
        except Exception as error:
            if not isinstance(error, SplatError):
                log.exception("a picture could not be drawn")
            session.tell(without_folders(str(error)) or type(error).__name__)
        finally:
            self._save.disabled = False

    def _pixels(self) -> tuple[int, int]:
        if self._size.value == WINDOW:
            return self._session.chosen.width, self._session.chosen.height
        return SIZES.get(self._size.value) or pixels(self._typed)

    def _show_link(self) -> None:
        session, access = self._session, bool(self._access.value)
        link = address(session.link, session.stand, float(session.client.camera.fov), with_token=access)
        style = "font: inherit; font-size: 0.85em; padding: 0.3em; border: 1px solid #8888; border-radius: 0.3em;"
        copy = "const field = this.previousElementSibling; field.select(); document.execCommand('copy');"
        self._link.content = (
            '<div style="padding: 0 0.6em; font-size: 0.85em"><div style="display: flex; gap: 0.4em">'
            f'<input readonly aria-label="Link" value="{escape(link)}" onclick="this.select()" '
            f'style="{style} flex: 1; min-width: 0; background: transparent; color: inherit">'
            f'<button style="{style} cursor: pointer" onclick="{copy} this.textContent = \'Copied\'">Copy</button>'
            f'</div><p style="opacity: 0.8; margin: 0.5em 0">{ACCESS[access]}</p></div>'
        )
        self._link.visible = True
