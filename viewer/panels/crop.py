"""Crop: a box or a sphere in the scene, placed by hand, and how what is outside it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from splat.quaternions import from_matrix, to_matrix
from splat.viewer.camera import RADIUS, Array
from splat.viewer.marks import Outside
from splat.viewer.panels.values import chosen, on_choice, within
from splat.viewer.region import Region, Shape
from splat.viewer.session import Session

if TYPE_CHECKING:
    import viser

NONE = "off"
OUTSIDE: tuple[Outside, ...] = ("dimmed", "hidden", "shown")
SIDES = ("Width", "Depth", "Height")
COLOR = (255, 190, 60)
#: Shortest, longest and first extent, view space.
LEAST, MOST, FIRST = 0.02, 8.0, 0.5 * RADIUS
#: Where the box's faces are dragged: directions of its own axes.
FACES = [(axis, sign) for axis in range(3) for sign in (-1, 1)]


class Crop:
    """The region's controls, beside the picture and in it.

    Args:
        changed: called whenever the region or the way that its outside is shown has changed.
        outside: how it is shown at first.
    """

    def __init__(self, session: Session, changed: Callable[[], None], outside: Outside) -> None:
        gui = session.client.gui
        self._session, self._changed, self._space = session, changed, session.space
        self._centre, self._wxyz = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
        self._nodes: list[Any] = []
        self._handles: list[tuple[Any, int, int]] = []
        self._shape = gui.add_dropdown(
            "Crop", (NONE, "box", "sphere"), hint="A box or a sphere in the picture: drag its arrows and arcs."
        )
        unit = 1 / session.space.scale
        self._sides = [
            gui.add_slider(
                side,
                _short(LEAST * unit),
                _short(MOST * unit),
                _short(LEAST * unit),
                _short(FIRST * unit),
                visible=False,
                hint="In the scene's units. Of a box, the yellow dots in the picture can be dragged as well.",
            )
            for side in SIDES
        ]
        self._outside = gui.add_dropdown(
            "Outside", OUTSIDE, initial_value=outside, visible=False, hint="How what lies outside is shown meanwhile."
        )
        on_choice(self._shape, lambda _: self._show())
        on_choice(self._outside, lambda _: changed())
        for side in self._sides:
            side.on_update(lambda _: self._resize())

    @property
    def outside(self) -> Outside:
        """How what is not in the region is shown."""
        return cast(Outside, chosen(self._outside) or OUTSIDE[0])

    @property
    def region(self) -> Region | None:
        """What is inside, or None while there is no crop."""
        shape = chosen(self._shape)
        if shape in (None, NONE):
            return None
        space = self._space
        rotation = to_matrix(self._wxyz).T @ space.rotation
        return Region(cast(Shape, shape), space.to_scene(self._centre), rotation, self._half / space.scale)

    def stop(self) -> None:
        """Takes the region away."""
        self._shape.value = NONE

    def refresh(self) -> None:
        """Follows the scene when it was turned another way up; its coordinates in the page are others then."""
        new = self._session.space
        if new is not self._space:
            turn = new.rotation @ self._space.rotation.T
            self._centre = new.to_view(self._space.to_scene(self._centre))
            self._wxyz = from_matrix(turn @ to_matrix(self._wxyz))
            self._space = new
            self._show()

    @property
    def _half(self) -> Array:
        """[3] half of the extents, view space."""
        sides = [within(side, side.min) for side in self._sides]
        if self._shape.value == "sphere":
            sides = sides[:1] * 3
        return 0.5 * self._space.scale * np.array(sides)

    def _show(self) -> None:
        """Puts the region into the picture, or takes it out."""
        shape, scene = chosen(self._shape) or NONE, self._session.client.scene
        for node in self._nodes:
            node.remove()
        self._nodes, self._handles = [], []
        for number, side in enumerate(self._sides):
            side.visible = shape == "box" or (shape == "sphere" and number == 0)
        self._sides[0].label = "Diameter" if shape == "sphere" else SIDES[0]
        self._outside.visible = shape != NONE
        if shape != NONE:
            gizmo = scene.add_transform_controls(
                "/crop",
                scale=0.3,
                line_width=3.0,
                disable_sliders=True,
                disable_rotations=shape == "sphere",
                depth_test=False,
                position=self._centre,
                wxyz=self._wxyz,
            )

            @gizmo.on_update
            async def _(event: viser.TransformControlsEvent) -> None:
                self._centre, self._wxyz = np.array(event.target.position), np.array(event.target.wxyz)
                self._changed()

            lines = _edges() if shape == "box" else _circles()
            self._body = scene.add_line_segments("/crop/body", lines, COLOR, thickness=2.0, thickness_units="screen")
            if shape == "box":
                self._handles = [(self._add_handle(axis, sign), axis, sign) for axis, sign in FACES]
            self._nodes = [*(handle for handle, _, _ in self._handles), self._body, gizmo]
            self._resize()
        self._changed()

    def _add_handle(self, axis: int, sign: int) -> Any:
        """A dot on a face of the box, that moves the face."""
        handle = self._session.client.scene.add_icosphere(
            f"/crop/face{axis}{sign}", 0.02, COLOR, cast_shadow=False, receive_shadow=False
        )
        held: list[Array] = []

        @handle.on_drag("left")
        async def _(event: viser.SceneNodeDragEvent) -> None:
            end = np.array(event.end_position)
            if event.phase == "start":
                held[:] = [end, np.array(self._centre), self._half]
            if event.phase != "update" or not held:
                return
            start, centre, half = held
            out = sign * to_matrix(self._wxyz)[:, axis]
            # The pointer moves in the plane of the screen; the face along its normal, which is seen foreshortened.
            forward = np.array(self._session.chosen.pose.rotation[:, 2])
            seen = out - (out @ forward) * forward
            by = float((end - start) @ seen / max(seen @ seen, 0.1))
            length = np.clip(2 * half[axis] + by, LEAST, MOST)
            self._centre = centre + (length / 2 - half[axis]) * out
            self._sides[axis].value = _short(length / self._space.scale)
            self._nodes[-1].position = self._centre

        return handle

    def _resize(self) -> None:
        """Gives the region in the picture its size."""
        if not self._nodes:
            return
        half = self._half
        self._body.scale = tuple(half)
        for handle, axis, sign in self._handles:
            handle.position = sign * half * (np.arange(3) == axis)
        self._changed()


def _edges() -> Array:
    """[12, 2, 3] of the box from -1 to 1."""
    corners = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    pairs = [(a, b) for a in corners for b in corners if (b - a).sum() == np.abs(b - a).sum() == 2]  # noqa: PLR2004
    return np.array(pairs)


def _circles(pieces: int = 48) -> Array:
    """[3 pieces, 2, 3] of the unit sphere, one around each axis."""
    angles = np.arange(pieces + 1) * (2 * np.pi / pieces)
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(pieces + 1)], axis=1)
    lines = np.stack([circle[:-1], circle[1:]], axis=1)
    return np.concatenate([np.roll(lines, axis, axis=2) for axis in range(3)])


def _short(value: float) -> float:
    """With three digits: a slider has no room for more."""
    return float(f"{value:.3g}")
