"""The one thread that draws: takes the scheduler's jobs, renders them and hands the pictures on."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.evaluate.metrics import psnr
from splat.gaussians import Gaussians
from splat.viewer.camera import ViewSpace
from splat.viewer.compare import compose, picture_size, resized
from splat.viewer.frames import Allowance, FrameScheduler, Job, Request
from splat.viewer.modes import Drawing, Look, draw, halved
from splat.viewer.source import SceneSource

log = logging.getLogger(__name__)

#: Seconds between two looks for work while browsers are connected, and between two ticks.
POLL, TICK = 0.02, 0.5
#: Share of the time that pictures take beside a training run, at first; a browser's messages come on top of that.
SHARE = 0.07
#: Nearest depth drawn where a photo was taken, scene units: the renderer's own, as in training and evaluation.
NEAR_PHOTO = 0.01


@dataclass(frozen=True)
class Frame:
    """A picture for one browser, or a score of the photo it stands at.

    Attributes:
        image: [H, W, 3] uint8; None for a score.
        seconds: time to draw it.
        fps: frames drawn for this browser in the last second.
        gaussians, drawn: number in the scene, and in the picture.
        psnr: dB, of the scored view; None for a picture.
        ends: what the ends of the colour map mean, in modes that have one.
    """

    job: Job
    image: Tensor | None
    seconds: float
    fps: int
    gaussians: int
    drawn: int
    psnr: float | None = None
    ends: tuple[float, float] | None = None


class Pump:
    """Draws for all browsers on a thread of its own. What goes wrong in a frame ends that frame and nothing else.

    Args:
        deliver: takes a frame that is worth showing, and returns how many bytes it sent.
        waiting: says how many bytes are still on their way to a browser.
        gather: called before work is chosen and after it is done, to `request` what browsers wish by now.
        complain: takes the number of a browser and a sentence about why its frame failed.
        tick: called twice a second.
    """

    def __init__(
        self,
        source: SceneSource,
        deliver: Callable[[Frame], int],
        complain: Callable[[int, str], None],
        tick: Callable[[], None],
        waiting: Callable[[int], int] = lambda _: 0,
        gather: Callable[[], None] = lambda: None,
    ) -> None:
        self.source = source
        self.scheduler = FrameScheduler()
        self.allowance = Allowance(SHARE)
        self._deliver, self._complain, self._tick = deliver, complain, tick
        self._waiting, self._gather = waiting, gather
        self._spaces: dict[int, ViewSpace] = {}
        self._drawn: dict[int, deque[float]] = {}
        self._photos: dict[tuple[int, int, int], Tensor] = {}
        self._fine: dict[int, Tensor] = {}
        self._tasks: deque[Iterator[None]] = deque()
        self._task_is_next = False
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=5)
        # What a task has open, such as half a video, is put away.
        while self._tasks and not self._thread.is_alive():
            task = self._tasks.popleft()
            if isinstance(task, Generator):
                task.close()

    def request(self, client: int, request: Request, space: ViewSpace, at: float | None = None) -> None:
        """Takes a browser's newest wish, of a moment or just now; its pose is in this view space."""
        self._spaces[client] = space
        self.scheduler.update(client, request, time.monotonic() if at is None else at)
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def begin(self, task: Iterator[None]) -> None:
        """Takes work that is done on the drawing thread piece by piece, while no browser waits for a picture: a
        generator, each `next` of which is a piece of at most a picture. What goes wrong in it ends it; what it has to
        tell about that, it catches itself. Tasks take turns."""
        self._tasks.append(task)
        self._wake.set()

    def forget(self, client: int) -> None:
        self.scheduler.remove(client)
        self._spaces.pop(client, None)
        self._drawn.pop(client, None)
        self._fine.pop(client, None)

    def _run(self) -> None:
        ticked = 0.0
        while not self._stop.is_set():
            try:
                worked = self._work()
                if time.monotonic() - ticked >= TICK:
                    ticked = time.monotonic()
                    self._tick()
            except Exception:  # A browser may leave at any moment, half way through a message to it.
                log.exception("the viewer carries on after an error")
                worked = False
            if not worked:
                self._wake.wait(POLL if len(self.scheduler) else TICK)
                self._wake.clear()

    def _work(self) -> bool:
        """Draws one frame or does a piece of a task, if there is one and time for it."""
        now = time.monotonic()
        if self.source.training and not self.allowance.allows(now):
            return False
        self._gather()
        job = self.scheduler.next(now, self.source.generation, training=self.source.training, waiting=self._waiting)
        # Beside training a resting browser always wants a newer picture, so those and tasks take turns.
        if job is None or (self._task_is_next and self._tasks and job.quality != "preview"):
            return self._go_on()
        self._task_is_next, worked = True, self.source.worked
        try:
            frame = self._draw(job)
        except Exception as error:
            failures = self.scheduler.failed(job, time.monotonic())
            # Our own sentences are for the user; anything else goes to the log with its trace, once.
            if failures == 1 and not isinstance(error, SplatError):
                log.exception("a frame could not be drawn")
            self._complain(job.client, str(error) or type(error).__name__)
            self.allowance.spend(self.source.worked - worked)
            return True
        self._gather()
        drawn_at = time.monotonic()
        if self.scheduler.finished(job, drawn_at):
            sent = self._deliver(frame)
            self.scheduler.shown(job, frame.seconds + time.monotonic() - drawn_at, sent)
        self.allowance.spend(self.source.worked - worked + time.monotonic() - drawn_at)
        return True

    def _go_on(self) -> bool:
        """Does one piece of the task whose turn it is."""
        if not self._tasks:
            return False
        task, worked = self._tasks.popleft(), self.source.worked
        self._task_is_next = False
        try:
            with contextlib.suppress(StopIteration):
                next(task)
                self._tasks.append(task)
        finally:
            self.allowance.spend(self.source.worked - worked)
        return True

    def _draw(self, job: Job) -> Frame:
        request = job.request
        if request.view is not None and job.quality == "score":
            return self._score(job, request.view)
        if job.quality == "fine":
            return self._draw_fine(job)
        look = Look.of(request, self.source.antialias, NEAR_PHOTO)
        if request.view is not None and request.compare != "off":
            if request.compare == "difference":
                look = look._replace(mode="colour")
            view = self.source.views[request.view].camera
            size = picture_size(request.compare, job.width, job.height, view.width / view.height)
            drawing, count, seconds = self._render(view.resized(*size), look, job)
            started = time.monotonic()
            photo = self._photo(request.view, *size)
            image = compose(request.compare, drawing.image, photo, request.wipe, job.width, job.height)
            seconds += time.monotonic() - started
        else:
            space = self._spaces[job.client]
            camera = space.camera(request.pose, job.width, job.height)
            drawing, count, seconds = self._render(camera, look._replace(near=space.near), job)
            image = drawing.image
        return Frame(job, image, seconds, self._count_frame(job.client), count, drawing.drawn, ends=drawing.ends)

    def _draw_fine(self, job: Job) -> Frame:
        """One quarter of the picture, at twice its scale and then made smaller; a picture once all are there."""
        request, space = job.request, self._spaces[job.client]
        look = Look.of(request, self.source.antialias, space.near)
        down, across = divmod(job.part, 2)
        whole = space.camera(request.pose, 2 * job.width, 2 * job.height)
        Ks = whole.Ks.clone()
        Ks[..., :2, 2] -= torch.tensor([across * job.width, down * job.height])
        quarter = replace(whole, Ks=Ks, width=job.width, height=job.height)
        drawing, count, seconds = self._render(quarter, look, job)
        started = time.monotonic()
        canvas = self._fine.get(job.client)
        if canvas is None or canvas.shape[:2] != (2 * job.height, 2 * job.width):
            canvas = self._fine[job.client] = torch.empty(2 * job.height, 2 * job.width, 3, dtype=torch.uint8)
        rows = slice(down * job.height, (down + 1) * job.height)
        canvas[rows, across * job.width : (across + 1) * job.width] = drawing.image
        image = halved(self._fine.pop(job.client)) if job.is_whole else None
        seconds += time.monotonic() - started
        return Frame(job, image, seconds, self._count_frame(job.client, int(job.is_whole)), count, drawing.drawn)

    def score(self, index: int) -> tuple[float, int, float]:
        """PSNR of a photo as the evaluation measures it, dB: at the photo's size, over the scene's own background; the
        number of Gaussians, and the seconds to draw them. On the drawing thread."""
        camera = self.source.views[index].camera
        look = Look("colour", self.source.background, self.source.antialias, NEAR_PHOTO)
        drawing, count, seconds = self._render(camera, look)
        photo, mask = self._photo(index, camera.width, camera.height), self.source.mask(index)
        return float(psnr(drawing.image / 255, photo / 255, mask)), count, seconds

    def _score(self, job: Job, index: int) -> Frame:
        score, count, seconds = self.score(index)
        return Frame(job, None, seconds, self._count_frame(job.client, 0), count, 0, score)

    def _render(self, camera: Cameras, look: Look, job: Job | None = None) -> tuple[Drawing, int, float]:
        """The picture, with what is marked for the job's browser, the number of Gaussians, and the seconds it took."""
        marks = None if job is None else job.request.marks

        def work(gaussians: Gaussians) -> tuple[Drawing, int, float]:
            started = time.monotonic()
            if job is not None and marks is not None:
                gaussians = marks.apply(gaussians, job.generation)
            drawing = draw(gaussians, camera, look)
            return drawing, len(gaussians), time.monotonic() - started

        return self.source.with_gaussians(work)

    def _count_frame(self, client: int, frames: int = 1) -> int:
        """Frames drawn for a browser in the last second, these included."""
        now, drawn = time.monotonic(), self._drawn.setdefault(client, deque())
        drawn.extend([now] * frames)
        while drawn and drawn[0] < now - 1:
            drawn.popleft()
        return len(drawn)

    def _photo(self, index: int, width: int, height: int) -> Tensor:
        """[height, width, 3] uint8; the last few are kept, as a still comparison asks for the same one each time."""
        key = (index, width, height)
        if key not in self._photos:
            photo = self.source.photo(index)
            if tuple(photo.shape[:2]) != (height, width):
                photo = resized(photo, width, height)
            while len(self._photos) >= 4:
                self._photos.pop(next(iter(self._photos)))
            self._photos[key] = photo
        return self._photos[key]
