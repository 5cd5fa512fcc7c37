"""What is known of the photos of a scene, for all browsers: made on the drawing thread once somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from splat.errors import SplatError
from splat.viewer.compare import resized
from splat.viewer.pump import Pump

#: Of a thumbnail's longer side, px.
SIDE = 320


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
        self._asked: set[int] = set()
        self.thumbnails: dict[int, Tensor] = {}
        self.scores: dict[int, float] = {}
        self.measured_at = 0
        self.measuring = False
        self.problem = ""

    def ask(self, indices: Iterable[int]) -> None:
        """Has the thumbnails of these photos read, one after another."""
        missing = [index for index in indices if index not in self._asked]
        self._asked.update(missing)
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
            except SplatError:
                pass  # Who wants to see the photo itself is told.
            yield

    def _measure(self, scores: dict[int, float]) -> Iterator[None]:
        for index in range(len(self._source.views)):
            if not self.measuring or self.scores is not scores:
                return
            try:
                scores[index] = self._pump.score(index)[0]
            except SplatError as error:
                self.problem = str(error)
                break
            yield
        self.measuring = False


def _thumbnail(photo: Tensor) -> Tensor:
    height, width = photo.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    return resized(photo, max(1, round(scale * width)), max(1, round(scale * height)))
