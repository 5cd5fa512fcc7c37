"""What is known of the photos of a scene, for all browsers: made on the drawing thread once somebody asks for it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator

from torch import Tensor

from splat.errors import SplatError
from splat.viewer.compare import resized
from splat.viewer.pump import Pump

log = logging.getLogger(__name__)

#: Of a thumbnail's longer side, px.
SIDE = 320
#: Seconds after which a photo that could not be read is tried again.
AGAIN = 30.0


class Gallery:
    """Thumbnails of the photos, and how close the scene comes to each.

    Attributes:
        thumbnails: [h, w, 3] uint8 by the photo's number: those that could be read so far.
        scores: PSNR by the photo's number, dB: those measured so far.
        measured_at: the scene's generation when measuring began.
        measuring: whether it goes on.
        problem: why it ended early; empty where it did not.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump, self._source = pump, pump.source
        self._readable_at: dict[int, float] = {}  # By the photo's number, on the steady clock; inf once it is read.
        self.thumbnails: dict[int, Tensor] = {}
        self.scores: dict[int, float] = {}
        self.measured_at = 0
        self.measuring = False
        self.problem = ""

    def ask(self, indices: Iterable[int]) -> None:
        """Has the thumbnails of these photos read, one after another, unless they are known or on their way."""
        now = time.monotonic()
        missing = [index for index in indices if self._readable_at.get(index, now) <= now]
        self._readable_at.update(dict.fromkeys(missing, math.inf))
        if missing:
            self._pump.begin(self._read(missing))

    def measure(self) -> None:
        """Has the PSNR of every photo measured, from the first on."""
        if not self.measuring:
            self.measuring, self.problem, self.scores = True, "", {}
            self.measured_at = self._source.generation
            self._pump.begin(self._measure(self.scores))

    def stop(self) -> None:
        """Ends measuring; what is measured stays."""
        self.measuring = False

    def _read(self, indices: list[int]) -> Iterator[None]:
        for index in indices:
            try:
                self.thumbnails[index] = _thumbnail(self._source.photo(index))
            except Exception as error:
                # Who wants to see the photo itself is told.
                if not isinstance(error, SplatError):
                    log.exception("the thumbnail of %s could not be made", self._source.views[index].name)
                self._readable_at[index] = time.monotonic() + AGAIN
            yield

    def _measure(self, scores: dict[int, float]) -> Iterator[None]:
        from splat.viewer.panels.text import without_folders  # The panels import this module.

        try:
            for index in range(len(self._source.views)):
                if not self.measuring or self.scores is not scores:
                    return
                scores[index] = self._pump.score(index)[0]
                yield
        except Exception as error:
            problem = str(error)
            if not isinstance(error, SplatError):
                problem = f"The photo {self._source.views[len(scores)].name} could not be measured; the log says why"
                log.exception(problem)
            if self.scores is scores:
                self.problem = without_folders(problem)
        finally:
            if self.scores is scores:
                self.measuring = False


def _thumbnail(photo: Tensor) -> Tensor:
    height, width = photo.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    return resized(photo, max(1, round(scale * width)), max(1, round(scale * height)))
