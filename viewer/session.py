"""One browser: what it looks at, what it has chosen, and what it is shown."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.viewer.camera import DEFAULT_FOV, Array, Pose, Stand, ViewSpace, covering_fov, overview
from splat.viewer.commands import Shortcut
from splat.viewer.frames import Request
from splat.viewer.gallery import Gallery
from splat.viewer.link import send_picture
from splat.viewer.pump import Frame, Pump
from splat.viewer.source import SceneSource

if TYPE_CHECKING:
    import viser

log = logging.getLogger(__name__)

#: What is up in a scene file without cameras: captures are stored with y down.
DEFAULT_UP = (0.0, -1.0, 0.0)


def view_space(source: SceneSource) -> ViewSpace:
    """Where a browser sees a source from."""
    if source.views:
        return ViewSpace.of_cameras(np.stack([_viewmat(source, index) for index in range(len(source.views))]))
    means = source.with_gaussians(lambda gaussians: gaussians.means.double().cpu().numpy())
    # An empty scene has no middle and no size: any will do.
    return ViewSpace.of_points(means if len(means) else np.eye(3), DEFAULT_UP)


def home_view(source: SceneSource) -> int | None:
    """The photo to start at: the first that the scene was trained on."""
    trained = (index for index, view in enumerate(source.views) if not view.held_out)
    return next(trained, 0 if source.views else None)


def home_stand(source: SceneSource, space: ViewSpace) -> Stand:
    """Where a page opens: at the first training photo, or before the whole scene."""
    home = home_view(source)
    return overview() if home is None else space.stand(_viewmat(source, home))


class Pilot(Protocol):
    """Who moves a browser's camera step by step, while the browser reports where it was a moment ago."""

    def knows(self, pose: Pose) -> bool:
        """Whether it lately put the camera there; if not, somebody has taken the camera out of its hands."""
        ...


class Session:
    """Turns what a browser reports into requests to the pump, and frames into the browser's picture.

    Attributes:
        gallery: what all browsers know of the photos.
        view: the photo last gone to; None in a scene without photos.
        frame, single: the last picture shown, and the last that was drawn as one.
        latency: seconds from the camera's last movement to the picture of it, as long as it takes to get here and to be
            drawn and encoded.
        fps: pictures a second when it last moved.
        picture_bytes: of the last picture.
        problem: why there is no picture; empty while there is.
        shortcuts: the keys that its panels have added.
        pilot: who moves the camera, until somebody else does.
        holds: how often a hand was laid on the camera, which ends every flight.
        left: whether the browser has gone.
        link: of the viewer, with its token.
    """

    def __init__(self, client: viser.ClientHandle, pump: Pump, space: ViewSpace, gallery: Gallery) -> None:
        self.client, self.pump, self.source, self.gallery = client, pump, pump.source, gallery
        self.view = home_view(self.source)
        self.frame: Frame | None = None
        self.single: Frame | None = None
        self.latency, self.fps, self.picture_bytes = 0.0, 0, 0
        self._score: tuple[int | None, float | None] = (None, None)
        self.problem = ""
        self.shortcuts: list[Shortcut] = []
        self.pilot: Pilot | None = None
        self.holds = 0
        self.left = False
        self.link = ""
        self._space = space if self.source.up is None else space.with_up(self.source.up)
        self._lock = threading.Lock()
        self._moved_at: float | None = None
        pose = Pose((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), DEFAULT_FOV)
        self._request = Request(pose, 1, 1, background=self.source.background)

    @property
    def chosen(self) -> Request:
        """What is shown now and how."""
        return self._request

    @property
    def at_photo(self) -> bool:
        """Whether the camera stands where a photo was taken, so that the two can be compared."""
        return self._request.view is not None

    @property
    def psnr(self) -> float | None:
        """Of the photo last gone to, dB, once measured there."""
        view, score = self._score
        return score if view == self.view else None

    @property
    def has_room(self) -> bool:
        """Whether controls fit beside the picture; on an upright phone they lie on it."""
        return self._aspect > 0.8

    @property
    def _aspect(self) -> float:
        """Width over height of the canvas; of a page that is not shown the canvas has none."""
        camera = self.client.camera
        return max(1, camera.image_width) / max(1, camera.image_height)

    def leave(self) -> None:
        """The browser has gone; whatever still works for it sends nothing any more."""
        with self._lock:
            self.left = True

    def choose(self, **changes: Any) -> None:
        """Changes fields of the request other than the camera's."""
        with self._lock:
            self._send(replace(self._request, **changes))

    def moved(self) -> None:
        """The browser has said where its camera is. It says so more often than pictures are drawn: the newest place is
        looked at once there is time for one."""
        self._moved_at = time.monotonic()
        self.pump.wake()

    def catch_up(self) -> None:
        """Looks from where the browser's camera is, if it has moved."""
        moved_at, self._moved_at = self._moved_at, None
        if moved_at is not None:
            self.look(moved_at)

    def look(self, at: float | None = None) -> None:
        """Takes over the browser's camera as it is now.

        Args:
            at: when it came there (`time.monotonic`); just now if None.
        """
        camera = self.client.camera
        with self._lock:
            # Rounded, since the browser echoes what it was told with other last digits: that is no movement.
            w, x, y, z = (round(float(value), 6) for value in camera.wxyz)
            px, py, pz = (round(float(value), 6) for value in camera.position)
            pose = Pose((w, x, y, z), (px, py, pz), round(float(camera.fov), 6))
            if self.pilot is not None and self.pilot.knows(pose):
                # The browser's echo of an earlier place on the way.
                size = {"width": max(1, camera.image_width), "height": max(1, camera.image_height)}
                self._send(replace(self._request, **size), at)
                return
            self.pilot = None
            at_photo = self.view is not None and self._space.is_at(pose, _viewmat(self.source, self.view))
            width, height = max(1, camera.image_width), max(1, camera.image_height)
            view = self.view if at_photo else None
            if view is not None:
                # The window may have changed its shape; all of the photo is to stay in it.
                camera.fov = covering_fov(self.source.views[view].camera, self._aspect)
                pose = replace(pose, fov=round(float(camera.fov), 6))
            self._send(replace(self._request, pose=pose, width=width, height=height, view=view), at)

    def hold(self) -> None:
        """Leaves the camera where it is: whatever moves it, a path or a short flight, ends."""
        self.pilot = None
        self.holds += 1

    def go_home(self) -> None:
        """Back to where the page opened."""
        home = home_view(self.source)
        if home is None:
            self._stand_at(overview(), DEFAULT_FOV)
        else:
            self.go_to(home)

    def go_to(self, index: int) -> None:
        """Stands where a photo was taken."""
        self.view = index
        self._stand_at(*self.photo_stand(index))

    def photo_stand(self, index: int) -> tuple[Stand, float]:
        """Where a photo was taken, and the field of view that shows all of it, radians."""
        fov = covering_fov(self.source.views[index].camera, self._aspect)
        return self._space.stand(_viewmat(self.source, index)), fov

    def show(self, frame: Frame) -> int:
        """Puts a frame on the screen, and says how many bytes that took."""
        self.problem = ""
        if frame.image is None:
            self._score = (frame.job.request.view, frame.psnr)
            return 0
        self.frame = frame
        if frame.job.quality != "fine":
            self.single = frame
        sent = send_picture(self.client, frame.image, frame.job.jpeg_quality)
        if frame.job.quality == "preview":
            self.latency, self.fps = time.monotonic() - frame.job.asked_at, frame.fps
        self.picture_bytes = sent
        return sent

    def set_up(self, up: Array | tuple[float, float, float], *, stay: bool = False) -> None:
        """Turns the scene: this direction [3] of it is up from now on, also for browsers that come later.

        Args:
            stay: whether the camera stays where it is, and no more than stands upright.
        """
        viewmat = self.camera().viewmats[0].double().numpy()
        self.source.up = np.asarray(up, dtype=np.float64)
        self._space = self._space.with_up(self.source.up)
        if stay:
            stand = self._space.stand(viewmat)
            steep = abs(stand.look_at[2] - stand.position[2]) > 0.98 * np.linalg.norm(stand.look_at - stand.position)
            self.stand_at(stand if steep else replace(stand, up=np.array([0.0, 0.0, 1.0])))
        else:
            self.go_home()

    @property
    def space(self) -> ViewSpace:
        """The browser's coordinates."""
        return self._space

    @property
    def stand(self) -> Stand:
        """Where the browser's camera is, and what it turns around."""
        camera = self.client.camera
        parts = (camera.position, camera.look_at, camera.up_direction)
        return Stand(*(np.asarray(part, dtype=np.float64) for part in parts))

    def stand_at(self, stand: Stand, fov: float | None = None) -> None:
        """Puts the browser's camera somewhere else, with another field of view, radians, if one is given."""
        self._stand_at(stand, float(self.client.camera.fov) if fov is None else fov)

    def fly(self, pilot: Pilot, pose: Pose, stand: Stand) -> None:
        """Lets a pilot put the browser's camera somewhere: a pose, and the stand that is the same place."""
        with self._lock:
            self.pilot = pilot
            self._send(replace(self._request, pose=pose, view=None))
        camera = self.client.camera
        with self.client.atomic():
            camera.up_direction = stand.up
            camera.position = stand.position
            camera.look_at = stand.look_at
            camera.fov = pose.fov
        self.client.flush()

    def camera(self) -> Cameras:
        """The browser's camera [1] in the scene, of the size of its canvas."""
        request = self._request
        return self._space.camera(request.pose, request.width, request.height)

    def add_shortcut(self, keys: str, does: str) -> None:
        """Adds a line to the help."""
        self.shortcuts.append(Shortcut(keys, does))

    def soon(self, work: Callable[[], object]) -> None:
        """Does work on the drawing thread, as one piece; what goes wrong in it is told in the page."""

        def task() -> Iterator[None]:
            try:
                work()
            except Exception as error:
                if not isinstance(error, SplatError):
                    log.exception("something asked for in the page could not be done")
                self.tell(str(error) or type(error).__name__)
            yield

        self.pump.begin(task())

    def tell(self, text: str) -> None:
        """Says something in the corner of the page, for a while."""
        self.client.add_notification("", text, auto_close_seconds=6.0)

    def _stand_at(self, stand: Stand, fov: float) -> None:
        camera = self.client.camera
        with self.client.atomic():
            camera.up_direction = stand.up
            camera.position = stand.position
            camera.look_at = stand.look_at
            camera.fov = fov
        self.client.flush()
        self.look()

    def _send(self, request: Request, at: float | None = None) -> None:
        if self.left:
            return
        self._request = request
        self.pump.request(self.client.client_id, request, self._space, at)


def _viewmat(source: SceneSource, index: int) -> np.ndarray:
    """[4, 4] of a photo, camera from scene."""
    return source.views[index].camera.viewmats[0].double().cpu().numpy()
