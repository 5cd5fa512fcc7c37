"""Where the photos were taken, in the 3D view: a frame for each camera with its photo in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from splat.quaternions import from_matrix
from splat.viewer.compare import resized
from splat.viewer.visit import visit

if TYPE_CHECKING:
    import viser

    from splat.viewer.camera import ViewSpace
    from splat.viewer.session import Session

#: So many cameras are shown at most, evenly picked; the longer side of the photos in them, px.
MOST, SIDE = 256, 128
#: Size of a camera as a share of the way to the next one, and within these bounds, view-space units.
SHARE, SMALLEST, LARGEST = 0.12, 0.01, 0.08
TRAINING, HELD_OUT = (90, 160, 255), (255, 150, 50)
NAME = "/photos"


class Frusta:
    """The cameras in one browser's view; a click on one goes there.

    Attributes:
        wanted: whether they are to be shown.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._root: viser.FrameHandle | None = None
        self._handles: dict[int, viser.CameraFrustumHandle] = {}
        self._space: ViewSpace | None = None
        self._pictured: set[int] = set()
        self._bound: int | None = None
        self.wanted = False

    def visit(self, index: int) -> None:
        """Flies to where a photo was taken; its camera makes way, or it would be all around on arrival."""
        self._bound = index
        if index in self._handles:
            self._handles[index].visible = False
        visit(self._session, index)

    def refresh(self) -> None:
        """Shows, hides and moves them as is now right; photos come in as they are read."""
        session = self._session
        # Over a comparison they would hide pixels.
        shown = self.wanted and not (session.at_photo and session.chosen.compare != "off")
        if self.wanted and self._space is not session.space:
            self._build(session.space)
        if self._root is None:
            return
        if self._root.visible != shown:
            self._root.visible = shown
        if session.chosen.view is not None and session.chosen.view == session.view:
            self._bound = None
        hidden = (session.chosen.view, self._bound)
        for index, handle in self._handles.items():
            if handle.visible != (index not in hidden):
                handle.visible = index not in hidden
        for index in self._handles.keys() & session.gallery.thumbnails.keys() - self._pictured:
            self._pictured.add(index)
            photo = session.gallery.thumbnails[index]
            scale = SIDE / max(photo.shape[:2])
            height, width = (max(1, round(scale * side)) for side in photo.shape[:2])
            self._handles[index].image = resized(photo, width, height).numpy()

    def _build(self, space: ViewSpace) -> None:
        session, scene, views = self._session, self._session.client.scene, self._session.source.views
        self._space, self._pictured = space, set()
        picked = np.unique(np.linspace(0, len(views) - 1, min(MOST, len(views))).round().astype(int)).tolist()
        viewmats = np.stack([views[index].camera.viewmats[0].double().cpu().numpy() for index in picked])
        positions = space.to_view(np.stack([-viewmat[:3, :3].T @ viewmat[:3, 3] for viewmat in viewmats]))
        self._root = scene.add_frame(NAME, show_axes=False)
        for index, viewmat, position in zip(picked, viewmats, positions, strict=True):
            camera = views[index].camera
            handle = self._handles[index] = scene.add_camera_frustum(
                f"{NAME}/{index}",
                fov=2 * math.atan(0.5 * camera.height / float(camera.Ks[0, 1, 1])),
                aspect=camera.width / camera.height,
                scale=_size(positions),
                # Its faces take clicks too, which mere lines do not.
                variant="filled",
                thickness=1.5,
                thickness_units="screen",
                color=HELD_OUT if views[index].held_out else TRAINING,
                wxyz=from_matrix(space.rotation @ viewmat[:3, :3].T),
                position=position,
            )
            handle.on_click(lambda _, index=index: self.visit(index))
        session.gallery.ask(picked)


def _size(positions: np.ndarray) -> float:
    """Of the cameras at [V, 3], so that neighbours do not cover each other."""
    if len(positions) < 2:
        return LARGEST
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(np.clip(SHARE * np.median(apart.min(1)), SMALLEST, LARGEST))
