"""Which frame to draw next, for whom and how large: decisions only, no pixels, no clock of its own.

One thread draws for all browsers. Of each browser only the newest request counts; the browsers take turns; what moves
is drawn small and at once, what stands still is drawn again in full; beside a training run all of it together stays
within a share of the time.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from splat.viewer.camera import Pose

if TYPE_CHECKING:
    from splat.viewer.marks import Marks

Color = tuple[float, float, float]
Compare = Literal["off", "side by side", "wipe", "difference", "photo"]
Mode = Literal["colour", "depth", "alpha", "normals", "count", "ellipsoids", "points"]
Quality = Literal["preview", "full", "fine", "score"]

#: A browser that has sent nothing new for so long stands still, seconds.
STILL_AFTER = 0.15
#: What stands still is drawn again this often while the scene trains, and scored again this often; seconds.
REFRESH_EVERY, SCORE_EVERY = 1.0, 5.0
#: The preview ladder aims at this time for a frame, seconds.
PREVIEW_SECONDS = 0.04
#: Previews have at least this many lines, unless the user asks for less: smaller ones are mush.
PREVIEW_LINES = 240
#: What has stood still for so long is drawn once more with four samples a pixel, seconds.
FINE_AFTER = 0.5
#: A fine frame is drawn in so many parts, so that nobody else waits for it: its quarters, each at twice the scale.
FINE_PARTS = 4
#: Full frames have at most this many pixels: a phone's screen has more than anybody sees.
FULL_PIXELS = 1920 * 1200
#: Seconds until a failed frame is tried again: the first time and at most.
RETRY_FIRST, RETRY_MOST = 0.5, 8.0


@dataclass(frozen=True)
class Request:
    """All that decides a browser's picture, except the scene.

    Attributes:
        width, height: the canvas, pixels.
        view: the photo at whose place the camera stands, or None.
        compare: how that photo is shown beside the render.
        wipe: share of the width that shows the render, for "wipe".
        mode: what a pixel says.
        sh_degree: highest SH degree that colours have; None for the scene's own.
        size: of the Gaussians, times their own.
        moving_scale: size of frames while moving, as a share of the canvas; None adapts it to the machine.
        still_scale: the same while still.
        in_browser: whether the browser draws for itself, and wants nothing.
        fine: whether what stands still is drawn with four samples a pixel.
        marks: what is shown otherwise than it is, while it is edited; None for the scene as it is.
    """

    pose: Pose
    width: int
    height: int
    view: int | None = None
    compare: Compare = "off"
    wipe: float = 0.5
    mode: Mode = "colour"
    sh_degree: int | None = None
    size: float = 1.0
    background: Color = (0.0, 0.0, 0.0)
    moving_scale: float | None = None
    still_scale: float = 1.0
    in_browser: bool = False
    fine: bool = True
    marks: Marks | None = None


@dataclass(frozen=True)
class Job:
    """One frame to draw, or for quality "score" one photo to compare with.

    Attributes:
        asked_at: when the browser asked for it.
        part: of a fine frame.
        jpeg_quality: what the browser's link bears.
    """

    client: int
    version: int
    generation: int
    request: Request
    quality: Quality
    width: int
    height: int
    asked_at: float
    part: int
    jpeg_quality: int

    @property
    def is_whole(self) -> bool:
        """Whether there is a picture once this is drawn."""
        return self.quality != "fine" or self.part == FINE_PARTS - 1


class Ladder:
    """The preview size that this machine draws in time, found by measuring.

    Args:
        level: where to begin, into SCALES.
    """

    SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)

    def __init__(self, level: int = SCALES.index(0.5)) -> None:
        self.level = level
        self._recent: deque[float] = deque(maxlen=8)

    @property
    def scale(self) -> float:
        return self.SCALES[self.level]

    def observe(self, seconds: float) -> None:
        """Learns what a preview at the present scale took."""
        self._recent.append(seconds)
        if len(self._recent) < 4:
            return
        slow = sorted(self._recent)[-1 - len(self._recent) // 8]
        larger = self.SCALES[max(0, self.level - 1)] / self.scale
        if slow > 1.2 * PREVIEW_SECONDS and self.level + 1 < len(self.SCALES):
            self._move(1)
        elif self.level > 0 and slow * larger**2 < 0.8 * PREVIEW_SECONDS:
            self._move(-1)

    def _move(self, by: int) -> None:
        self.level += by
        self._recent.clear()


class Pace:
    """How good pictures may be so that the link to a browser keeps up, found by what is still on its way.

    Attributes:
        jpeg: quality of frames while moving and while still.
        scale: what previews are drawn at, at most, as a share of the canvas.
    """

    LEVELS = ((60, 92, 1.0), (45, 85, 1.0), (30, 75, 0.75), (20, 60, 0.5), (20, 50, 0.25))
    #: Previews on their way at once: more would be older when they arrive, fewer would wait for each acknowledgement.
    AHEAD = 2
    #: A level is tried for so long before the next lower one, and the next higher one; seconds.
    PATIENCE, CALM = 0.25, 2.0

    def __init__(self) -> None:
        self._level, self._moved_at, self._bytes = 0, -math.inf, 0

    @property
    def jpeg(self) -> tuple[int, int]:
        return self.LEVELS[self._level][:2]

    @property
    def scale(self) -> float:
        return self.LEVELS[self._level][2]

    def sent(self, preview_bytes: int) -> None:
        """Learns how large a preview was."""
        self._bytes = preview_bytes

    def holds(self, waiting: int, now: float) -> bool:
        """Whether the next preview has to wait, with so many bytes still on their way."""
        held = self._bytes > 0 and waiting > self.AHEAD * self._bytes
        if now - self._moved_at > (self.PATIENCE if held else self.CALM):
            self._level = min(self._level + 1, len(self.LEVELS) - 1) if held else max(self._level - 1, 0)
            self._moved_at = now
        return held


class Allowance:
    """A share of wall time: earned steadily, saved up to a short burst, spent on frames.

    Attributes:
        share: in (0, 1].
    """

    #: Seconds that may be saved up; and owed, so that one large picture does not stop all others for minutes.
    BURST, DEBT = 0.3, 2.0

    def __init__(self, share: float) -> None:
        self.share = share
        self._saved = self.BURST
        self._at: float | None = None

    def allows(self, now: float) -> bool:
        elapsed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._saved = min(self.BURST, self._saved + self.share * elapsed)
        return self._saved > 0

    def spend(self, seconds: float) -> None:
        self._saved = max(self._saved - seconds, -self.DEBT)


@dataclass
class _Client:
    request: Request
    version: int
    changed_at: float
    ladder: Ladder = field(default_factory=Ladder)
    pace: Pace = field(default_factory=Pace)
    shown_version: int = -1
    shown_quality: Quality = "preview"
    shown_generation: int = -1
    shown_at: float = -math.inf
    fine_parts: int = 0
    fine_version: int = -1
    fine_generation: int = -1
    scored: tuple[int, int] | None = None
    scored_at: float = -math.inf
    failures: int = 0
    retry_at: float = -math.inf

    def wants(self, now: float, generation: int, training: bool) -> Quality | None:
        moving = now - self.changed_at < STILL_AFTER
        if now < self.retry_at or self.request.in_browser:
            return None
        if self.shown_version != self.version:
            return "preview" if moving else "full"
        if self.shown_quality == "preview":
            return None if moving else "full"
        # The score comes first: it is due more rarely, and beside a busy training run a new picture always is.
        if self._wants_score(now, generation):
            return "score"
        if self.shown_generation != generation:
            return "full" if now - self.shown_at >= REFRESH_EVERY else None
        if self._wants_fine(training) and now - self.shown_at >= FINE_AFTER:
            return "fine"
        return None

    def _wants_fine(self, training: bool) -> bool:
        # Comparisons are of the very pixels, and other modes than colour have scales of their own in each part.
        request = self.request
        plain = request.compare == "off" and request.mode == "colour"
        return request.fine and plain and not training and self.shown_quality == "full"

    def _wants_score(self, now: float, generation: int) -> bool:
        view = self.request.view
        if view is None or self.scored == (view, generation):
            return False
        return self.scored is None or self.scored[0] != view or now - self.scored_at >= SCORE_EVERY


class FrameScheduler:
    """The requests of all browsers, and whose turn it is. May be used from any thread; `now` is any steady clock."""

    def __init__(self) -> None:
        self._clients: dict[int, _Client] = {}
        self._ladder = Ladder()
        self._last_served = -1
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._clients)

    def update(self, client: int, request: Request, now: float) -> None:
        """Takes a browser's newest request; the one before it is forgotten."""
        with self._lock:
            state = self._clients.get(client)
            if state is None:
                # The first picture is drawn in full at once.
                # Previews begin at the size that was found for whoever moved last.
                ladder = Ladder(self._ladder.level)
                self._clients[client] = _Client(request, 0, now - STILL_AFTER, ladder)
            elif state.request != request:
                state.request, state.version, state.changed_at = request, state.version + 1, now

    def remove(self, client: int) -> None:
        with self._lock:
            self._clients.pop(client, None)

    def next(
        self, now: float, generation: int, *, training: bool = False, waiting: Callable[[int], int] = lambda _: 0
    ) -> Job | None:
        """The most urgent frame: previews before full frames before scores before fine frames, each in turn.

        Args:
            generation: changes whenever the scene does.
            training: whether a run wants the machine.
            waiting: how many bytes are still on their way to a browser.
        """
        with self._lock:
            order = sorted(self._clients, key=lambda client: (client <= self._last_served, client))
            wishes = [(client, self._clients[client].wants(now, generation, training)) for client in order]
            for quality in ("preview", "full", "score", "fine"):
                for client, wanted in wishes:
                    if wanted != quality:
                        continue
                    if quality == "preview" and self._clients[client].pace.holds(waiting(client), now):
                        continue
                    self._last_served = client
                    return self._job(client, generation, quality)
            return None

    def finished(self, job: Job, now: float) -> bool:
        """Books a drawn frame, or part of one.

        Returns:
            Whether to show it. A frame of what stands still is of no use once its browser has moved on; a preview
            always is, or a steady drag would show nothing.
        """
        with self._lock:
            state = self._clients.get(job.client)
            if state is None or (job.quality in ("full", "fine") and state.version != job.version):
                return False
            state.failures, state.retry_at = 0, -math.inf
            if job.quality == "score":
                state.scored, state.scored_at = (job.request.view or 0, job.generation), now
                return True
            if not job.is_whole:
                state.fine_parts = job.part + 1
                return False
            state.shown_version, state.shown_quality = job.version, job.quality
            state.shown_generation, state.shown_at, state.fine_parts = job.generation, now, 0
            return True

    def shown(self, job: Job, seconds: float, bytes_sent: int) -> None:
        """Books what a frame took until it was sent, without what it waited for, and how large it was."""
        with self._lock:
            state = self._clients.get(job.client)
            if state is not None and job.quality == "preview":
                self._ladder = state.ladder
                state.ladder.observe(seconds)
                state.pace.sent(bytes_sent)

    def failed(self, job: Job, now: float) -> int:
        """Books a frame that could not be drawn; this browser waits, longer each time.

        Returns:
            How many of its frames have failed in a row.
        """
        with self._lock:
            state = self._clients.get(job.client)
            if state is None:
                return 1
            if job.quality == "score":
                # The picture does not depend on it. It is due again with the next photo, or the next scene.
                state.scored, state.scored_at = (job.request.view or 0, job.generation), now
                return 1
            state.retry_at = now + min(RETRY_MOST, RETRY_FIRST * 2**state.failures)
            state.failures += 1
            return state.failures

    def _job(self, client: int, generation: int, quality: Quality) -> Job:
        state = self._clients[client]
        request, part = state.request, 0
        scale = min(request.still_scale, math.sqrt(FULL_PIXELS / (request.width * request.height)))
        if quality == "preview":
            automatic = max(min(state.ladder.scale, state.pace.scale), PREVIEW_LINES / request.height)
            scale = min(scale, automatic if request.moving_scale is None else request.moving_scale)
        elif quality == "fine":
            # Parts of another version or of another scene were never shown, and don't belong together.
            current = (state.fine_version, state.fine_generation) == (state.version, generation)
            part = state.fine_parts if current else 0
            state.fine_version, state.fine_generation = state.version, generation
        width, height = (max(16, round(scale * side)) for side in (request.width, request.height))
        jpeg_quality = state.pace.jpeg[quality != "preview"]
        return Job(
            client, state.version, generation, request, quality, width, height, state.changed_at, part, jpeg_quality
        )
