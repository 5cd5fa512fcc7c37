"""Pictures to keep: screenshots of any size, and videos of a flight, drawn piece by piece on the drawing thread."""

from __future__ import annotations

import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.flight import Flight
from splat.gaussians import Gaussians
from splat.video import even, video_writer
from splat.viewer.frames import Request
from splat.viewer.modes import Look, draw, halved
from splat.viewer.saving import MOST_SENT
from splat.viewer.source import SceneSource

log = logging.getLogger(__name__)

#: Pixels of a picture's side and of all of it, and pictures of a video, at most.
MOST_SIDE, MOST_PIXELS, MOST_PICTURES = 16384, 7680 * 4320, 20_000


class Recording:
    """A video on its way; each `next` of `pieces` draws one picture of it.

    Args:
        source: the scene.
        request: how it is to look; its pose does not matter.
        near: distance below which nothing is drawn, scene units.
        flight: in the coordinates of the source's Gaussians.
        width, height: made even.
        fps: pictures a second.
        finish: takes the whole file's bytes, on the drawing thread.

    Attributes:
        done, total: pictures.
        problem: why there is no video; empty while there is nothing wrong.
        ended: whether nothing more will come.

    Raises:
        SplatError: there is no flight, or the video would be too large.
    """

    def __init__(
        self,
        source: SceneSource,
        request: Request,
        near: float,
        flight: Flight,
        width: int,
        height: int,
        fps: int,
        finish: Callable[[bytes], object],
    ) -> None:
        width, height = even(width), even(height)
        check_size(width, height)
        if len(flight.keys) < 2:
            raise SplatError("A flight has two keys or more: add some (the key K) where the camera shall pass.")
        self.done, self.total = 0, flight.count(fps)
        if self.total > MOST_PICTURES:
            raise SplatError(
                f"The video would have {self.total:,} pictures, {MOST_PICTURES:,} are the most: make it shorter."
            )
        self.problem = ""
        self.ended = False
        self._source, self._request, self._near, self._finish = source, request, near, finish
        self._flight, self._size, self._fps = flight, (width, height), fps
        self._started = time.monotonic()
        self._cancelled = False

    def cancel(self) -> None:
        """Gives it up; nothing is left of it."""
        self._cancelled = True

    @property
    def seconds_left(self) -> float | None:
        """A guess; None before the first picture."""
        return (self.total - self.done) * (time.monotonic() - self._started) / self.done if self.done else None

    def pieces(self) -> Iterator[None]:
        try:
            with tempfile.TemporaryDirectory(prefix="splat-") as folder:
                file = Path(folder) / "flight.mp4"
                with video_writer(file, self._fps, *self._size) as add:
                    for camera in self._flight.cameras(self._fps, *self._size):
                        if self._cancelled:
                            raise _Cancelled
                        add(picture(self._source, self._request, camera, self._near))
                        _check_sendable(Path(folder))
                        self.done += 1
                        yield
                _check_sendable(Path(folder))
                self._finish(file.read_bytes())
        except _Cancelled:
            self.problem = "Cancelled; nothing was kept."
        except Exception as error:
            if not isinstance(error, SplatError):
                log.exception("a video could not be drawn")
            self.problem = str(error) or type(error).__name__
        finally:
            self.ended = True


def _check_sendable(folder: Path) -> None:
    """Gives up a video, whole or on its way, whose folder has more bytes than the page takes."""
    if sum(file.stat().st_size for file in folder.iterdir()) > MOST_SENT:
        raise SplatError(
            f"The video has more than {MOST_SENT / 1e6:,.0f} MB, which is too much for the page: save the path, and "
            "render it with `splat render SCENE --path PATH.json -o VIDEO.mp4`."
        )


class _Cancelled(Exception):
    pass


def screenshot(
    source: SceneSource,
    request: Request,
    camera: Cameras,
    near: float,
    *,
    smooth: bool,
    finish: Callable[[bytes], object],
) -> Iterator[None]:
    """Draws one picture and gives it to `finish` as a PNG file's bytes.

    Args:
        camera: one, of the picture's size.
        near: as of `Recording`.
        smooth: whether each pixel is the mean of four.

    Raises:
        SplatError: it is too large.
    """
    factor = 2 if smooth else 1
    check_size(factor * camera.width, factor * camera.height, factor)
    image = picture(source, request, camera.resized(factor * camera.width, factor * camera.height), near)
    yield
    if smooth:
        image = halved(image)
    written, png = cv2.imencode(".png", image.numpy()[:, :, ::-1])
    if not written:
        raise SplatError("The picture could not be packed as PNG: choose a smaller size.")
    finish(png.tobytes())


@torch.no_grad()
def picture(source: SceneSource, request: Request, camera: Cameras, near: float) -> Tensor:
    """[H, W, 3] uint8: what a browser with this request would see from a camera."""
    look = Look.of(request, source.antialias, near)

    def work(gaussians: Gaussians) -> Tensor:
        if request.marks is not None:
            gaussians = request.marks.apply(gaussians, source.generation)
        return draw(gaussians, camera, look).image

    return source.with_gaussians(work)


def check_size(width: int, height: int, factor: int = 1) -> None:
    """Refuses what takes too much memory.

    Raises:
        SplatError: it is too large; the sizes in the sentence are divided by `factor`.
    """
    if min(width, height) < 2 or max(width, height) > MOST_SIDE or width * height > MOST_PIXELS:
        most = f"{MOST_PIXELS / factor**2 / 1e6:.0f} million pixels"
        raise SplatError(
            f"{width // factor} × {height // factor} is no size for a picture: choose up to {most}, "
            f"and no side above {MOST_SIDE // factor:,}."
        )


def file_name(title: str, suffix: str) -> str:
    """A name for a file to download, from a scene's title."""
    return (re.sub(r"[^\w.-]+", "-", title).strip("-.") or "scene")[:80] + suffix
