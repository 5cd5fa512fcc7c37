"""What the viewer shows: a scene file, the folder of a finished run, or a run that is still training."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.gaussians import Gaussians
from splat.viewer.camera import Array
from splat.viewer.edits import Edits
from splat.viewer.history import History
from splat.viewer.scale import Scale

if TYPE_CHECKING:
    from splat.datasets.scene import Scene
    from splat.train.listeners import EvalReport, StepReport
    from splat.train.trainer import Trainer

Result = TypeVar("Result")
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PhotoView:
    """Where a photo of the capture was taken.

    Attributes:
        name: the photo's.
        camera: one camera of the photo's size, in the coordinates of the source's Gaussians.
        held_out: whether training never saw it.
    """

    name: str
    camera: Cameras
    held_out: bool


class SceneSource(Protocol):
    """A scene that can be drawn, and the photos that it was made from.

    Attributes:
        title: a few words for the page.
        views: where the photos were taken; none for a bare file.
        antialias: the mode of `splat.render` that the scene is meant for.
        background: red, green, blue in [0, 1] that it is meant for.
        scale: how long its units are, once somebody has said.
        up: [3] the direction that somebody chose as up; None before.
        worked: seconds that work on the Gaussians has taken from a training run so far, without what it waited for.
    """

    title: str
    views: Sequence[PhotoView]
    antialias: str
    background: tuple[float, float, float]
    scale: Scale
    up: Array | None
    worked: float

    @property
    def generation(self) -> int:
        """Changes when the Gaussians do; the training step of a live scene."""
        ...

    @property
    def training(self) -> bool:
        """Whether training wants the machine at this moment."""
        ...

    def with_gaussians(self, work: Callable[[Gaussians], Result]) -> Result:
        """Runs work on the Gaussians while nothing changes them, on whatever thread may do so; waits for it."""
        ...

    def photo(self, index: int) -> Tensor:
        """[H, W, 3] uint8: the photo of a view, of the size of its camera.

        Raises:
            SplatError: it cannot be had.
        """
        ...

    def mask(self, index: int) -> Tensor | None:
        """[H, W] uint8: 1 where the photo counts; None where all of it does."""
        ...


class Photos(Protocol):
    """Photos and masks by the index of their view: a `Scene`, or one that is opened later."""

    def image(self, index: int) -> Tensor: ...

    def mask(self, index: int) -> Tensor | None: ...


class FileSource:
    """A finished scene, some of whose Gaussians may be deleted; its file stays as it is.

    Args:
        path: where it was read from; None where there is no file.
    """

    training = False
    worked = 0.0

    def __init__(
        self,
        gaussians: Gaussians,
        title: str,
        views: Sequence[PhotoView] = (),
        *,
        antialias: str = "classic",
        background: tuple[float, float, float] = BLACK,
        photos: Photos | None = None,
        path: Path | None = None,
    ) -> None:
        self.title, self.views, self.antialias, self.background = title, views, antialias, background
        self.scale = Scale()
        self.up: Array | None = None
        self.path = path
        self._whole = self._left = gaussians
        self.edits = Edits(len(gaussians))
        self._photos = photos

    @property
    def generation(self) -> int:
        return self.edits.version

    def edit(self, change: Callable[[Edits], Result]) -> Result:
        """Changes what is left of the scene. On the drawing thread only, so that no frame sees half of it."""
        result = change(self.edits)
        keep = self.edits.keep.to(self._whole.device)
        self._left = self._whole if self.edits.left == len(keep) else self._whole.select(keep)
        return result

    def with_gaussians(self, work: Callable[[Gaussians], Result]) -> Result:
        return work(self._left)

    def photo(self, index: int) -> Tensor:
        if self._photos is None:
            raise SplatError(f"{self.title} came without photos")
        return self._photos.image(index)

    def mask(self, index: int) -> Tensor | None:
        return None if self._photos is None else self._photos.mask(index)


class TrainingSource:
    """A run that trains: work is done on its thread, between two steps.

    Attributes:
        report, evaluation: the newest of each, None before the first.
        history: loss, psnr of the photos in training (dB) and number of Gaussians, by step.
        held_out: PSNR of the held-out photos, dB, by step.
        speed: steps a second, a running mean.
        reason: why the run ended; empty while it has not.
    """

    def __init__(self, trainer: Trainer) -> None:
        scene, config = trainer.scene, trainer.config
        self.title = scene.source.name
        self.views: Sequence[PhotoView] = [
            PhotoView(view.name, view.camera, index in set(scene.test)) for index, view in enumerate(scene.views)
        ]
        self.antialias = config.antialias
        self.background = scene.background or BLACK
        self.scale = Scale()
        self.up: Array | None = None
        self.report: StepReport | None = None
        self.evaluation: EvalReport | None = None
        self.history = History("loss", "psnr", "gaussians")
        self.held_out: dict[int, float] = {}
        self.worked = 0.0
        self.speed = 0.0
        self.reason = ""
        self.trainer = trainer

    @property
    def generation(self) -> int:
        return self.trainer.step

    @property
    def training(self) -> bool:
        return not self.ended and not self.trainer.paused

    @property
    def ended(self) -> bool:
        return bool(self.reason)

    def stepped(self, report: StepReport) -> None:
        """Notes a training step."""
        if self.report is not None and report.seconds > self.report.seconds:
            speed = (report.step - self.report.step) / (report.seconds - self.report.seconds)
            self.speed = speed if not self.speed else 0.95 * self.speed + 0.05 * speed
        self.report = report
        self.history.add(report.step, loss=report.loss, psnr=report.psnr, gaussians=report.gaussians)

    def evaluated(self, report: EvalReport) -> None:
        """Notes an evaluation."""
        self.evaluation = report
        self.held_out[report.step] = report.psnr

    def end(self, reason: str) -> None:
        """The training thread will run no more callbacks."""
        self.reason = reason

    def with_gaussians(self, work: Callable[[Gaussians], Result]) -> Result:
        results: list[Result] = []
        errors: list[Exception] = []
        # Whoever takes the claim does the work: the training thread, or we if it ended meanwhile.
        claim, done = threading.Lock(), threading.Event()

        def between_steps(trainer: Trainer) -> None:
            if claim.acquire(blocking=False):
                started = time.monotonic()
                try:
                    results.append(work(trainer.gaussians()))
                except Exception as error:  # Raised again where it was asked for: training goes on.
                    errors.append(error)
                finally:
                    self.worked += time.monotonic() - started
                    done.set()

        if not self.ended:
            self.trainer.between_steps(between_steps)
        while not done.wait(0.0 if self.ended else 0.1):
            if self.ended:
                with self.trainer.lock:
                    between_steps(self.trainer)
        if errors:
            raise errors[0]
        return results[0]

    def photo(self, index: int) -> Tensor:
        return self.trainer.scene.image(index)

    def mask(self, index: int) -> Tensor | None:
        return self.trainer.scene.mask(index)


def open_source(path: Path, device: str = "cpu") -> FileSource:
    """Reads a scene file, or a run's folder with its cameras and photos.

    Raises:
        SplatError: there is no scene, or it cannot be read.
    """
    from splat.formats import read
    from splat.formats.cameras import read_cameras
    from splat.train.run import load_background, load_config

    if not path.exists():
        raise SplatError(f"{path} does not exist; give a scene file, or the folder of a run that `splat train` made")
    if path.is_file():
        gaussians = read(path).to(device)
        return FileSource(gaussians, path.name, antialias=gaussians.antialias, path=path)
    if not (path / "scene.ply").is_file():
        raise SplatError(
            f"{path} holds no scene.ply, so it is no finished run; train one with: splat train PHOTOS -o RUN"
        )
    views = [PhotoView(view.name, view.camera, view.split == "test") for view in read_cameras(path / "cameras.json")]
    return FileSource(
        read(path / "scene.ply").to(device),
        path.resolve().name,
        views,
        antialias=load_config(path).antialias,
        background=load_background(path),
        photos=_CapturePhotos(path, [view.name for view in views]),
        path=path / "scene.ply",
    )


class _CapturePhotos:
    """The photos of a run's capture, opened when the first one is asked for."""

    def __init__(self, run: Path, names: Sequence[str]) -> None:
        self._run, self._names = run, names

    def image(self, index: int) -> Tensor:
        return self._scene.image(self._index(index))

    def mask(self, index: int) -> Tensor | None:
        return self._scene.mask(self._index(index))

    @functools.cached_property
    def _scene(self) -> Scene:
        from splat.train.run import load_config, load_source, open_capture

        capture = load_source(self._run)
        if not capture.exists():
            raise SplatError(f"The photos of this run are gone: {capture} does not exist")
        return open_capture(capture, load_config(self._run))

    @functools.cached_property
    def _by_name(self) -> dict[str, int]:
        return {view.name: index for index, view in enumerate(self._scene.views)}

    def _index(self, index: int) -> int:
        name = self._names[index]
        if name not in self._by_name:
            raise SplatError(f"The photo {name} is gone from {self._scene.source}")
        return self._by_name[name]
