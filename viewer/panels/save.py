"""Save: the scene as it is now, to a file beside its own or to the visitor's computer."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from splat.errors import SplatError
from splat.viewer.panels.text import number, paragraph, without_folders
from splat.viewer.panels.values import chosen
from splat.viewer.saving import MOST_SENT, bare_name, estimate, new_file, save
from splat.viewer.scale import similarity
from splat.viewer.session import Session
from splat.viewer.source import FileSource, TrainingSource


class Save:
    """Name, format, size and the buttons.

    Args:
        formats: suffixes to choose from.
        download: whether the file can be sent to the browser.
        label: of the button that saves beside the scene's file.
    """

    def __init__(self, session: Session, formats: Sequence[str], *, download: bool, label: str) -> None:
        gui, source = session.client.gui, session.source
        self._session = session
        self._beside = source.path if isinstance(source, FileSource) else None
        self._path: Path | None = None
        if isinstance(source, TrainingSource):
            self._sh_degree = source.trainer.config.sh_degree
        else:
            self._sh_degree = source.with_gaussians(lambda gaussians: gaussians.sh_degree)
        stem = "scene" if self._beside is None else f"{bare_name(self._beside)}-edited"
        self._format = gui.add_dropdown(
            "Format",
            tuple(formats),
            visible=len(formats) > 1 or download,
            hint="The kind of file; .html is a page for phones, which opens where you look now.",
        )
        self._name = gui.add_text("Name", stem, hint="Without a folder. No file that exists is ever overwritten.")
        self._placed = gui.add_checkbox(
            "Scale and up",
            False,
            hint="Turns and scales what is saved: one unit becomes one of the unit that was set under Measure, "
            "and up becomes -y, as captures have it.",
        )
        self._text = gui.add_html("")
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._buttons: list[Any] = []
        self._said = ""
        for control in (self._format, self._name, self._placed):
            control.on_update(lambda _: self._forget())
        if self._beside is not None:
            self._add_button(label, self._save, "Writes a new file beside the scene's own, which stays as it is.")
        if download:
            self._add_button("Download", self._download, "Sends the file to this browser.")

    def refresh(self) -> None:
        expected = self._expected()
        if self._path is not None and expected:
            # The temporary file's size; it may get its name at any moment.
            with contextlib.suppress(FileNotFoundError):
                written = sum(part.stat().st_size for part in self._path.parent.glob(f".*.{self._path.name}"))
                self._progress.value = min(100.0, 100 * written / expected)
        size = "nobody knows how large before" if expected is None else f"about {_megabytes(expected)}"
        text = paragraph(self._said or f"{number(self._count())} Gaussians, {size}")
        if text != self._text.content:
            self._text.content = text

    def _forget(self) -> None:
        """What became of the last file is old news once something else was chosen."""
        self._said = ""
        self.refresh()

    def _count(self) -> int:
        source, frame = self._session.source, self._session.frame
        if isinstance(source, FileSource):
            return source.edits.left
        return 0 if frame is None else frame.gaussians

    @property
    def _suffix(self) -> str:
        return chosen(self._format) or self._format.options[0]

    def _expected(self) -> float | None:
        """Bytes that the file will have."""
        return estimate(self._count(), self._sh_degree, self._suffix)

    def _add_button(self, label: str, action: Callable[[], str], hint: str) -> None:
        button = self._session.client.gui.add_button(label, hint=hint)
        self._buttons.append(button)
        button.on_click(lambda _: self._run(action))

    def _run(self, action: Callable[[], str]) -> None:
        """Writes, on the thread of the button's callback: the drawing thread goes on drawing."""
        for button in self._buttons:
            button.disabled = True
        self._progress.value, self._progress.visible = 0.0, True
        try:
            self._said = action()
        except SplatError as error:
            self._said = f"⚠️ {without_folders(str(error))}"
        finally:
            self._path, self._progress.visible = None, False
            for button in self._buttons:
                button.disabled = False
        self.refresh()

    def _save(self) -> str:
        assert self._beside is not None
        path = new_file(self._beside, self._name.value, self._suffix)
        return f"Saved {self._write(path)}, as {path.name} beside {self._beside.name}"

    def _download(self) -> str:
        expected = self._expected()
        if expected is not None and expected > MOST_SENT:
            raise SplatError(f"{_megabytes(expected)} are too much for the page; save it beside the scene")
        with tempfile.TemporaryDirectory() as folder:
            path = new_file(Path(folder) / "scene", self._name.value, self._suffix)
            what = self._write(path)
            self._session.client.send_file_download(path.name, path.read_bytes(), save_immediately=True)
        return f"Sent {what}, as {path.name}"

    def _write(self, path: Path) -> str:
        session, self._path = self._session, path
        matrix = similarity(session.source.scale, session.space.up) if self._placed.value else None
        cameras = [session.camera(), *(view.camera for view in session.source.views)]
        count = save(session.source, path, matrix, cameras=cameras, up=session.space.up)
        return f"{number(count)} Gaussians, {_megabytes(path.stat().st_size)}"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
