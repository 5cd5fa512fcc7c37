"""A preview that the browser draws itself: smooth on the visitor's GPU, but each Gaussian has one colour from
everywhere, and the renderer is not the one that the scene was trained with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from splat.gaussians import SH_C0, Gaussians
from splat.train.density.children import rotate
from splat.viewer.camera import ViewSpace
from splat.viewer.frames import Color
from splat.viewer.link import send_picture

if TYPE_CHECKING:
    import viser

    from splat.viewer.session import Session

#: How many a browser is sent at most, and how much of its memory each takes, about.
MOST, BYTES_EACH = 250_000, 265
#: What a scene that changes is sent again after, seconds.
RESEND_EVERY = 5.0
NAME = "/splats"

Array = NDArray[np.float32]


class Splats(NamedTuple):
    """What viser draws, in view space: centers [M, 3], covariances [M, 3, 3], rgbs [M, 3] and opacities [M, 1]."""

    centers: Array
    covariances: Array
    rgbs: Array
    opacities: Array


@torch.no_grad()
def splats(gaussians: Gaussians, space: ViewSpace, most: int = MOST) -> Splats:
    """A scene for viser; of a larger one what covers most, opacity times area."""
    if len(gaussians) > most:
        scales = gaussians.log_scales.sort(dim=1).values
        cover = gaussians.opacities * (scales[:, 1] + scales[:, 2]).exp()
        gaussians = gaussians.select(cover.topk(most).indices.sort().values)
    turn = torch.from_numpy(space.rotation).to(gaussians.means)
    centre = torch.from_numpy(space.centre).to(gaussians.means)
    unit = torch.eye(3).to(gaussians.means)
    axes = torch.stack([rotate(gaussians.quats, axis.expand(len(gaussians), 3)) for axis in unit], dim=2)
    roots = space.scale * (turn @ axes) * gaussians.scales[:, None]
    rgbs = (0.5 + SH_C0 * gaussians.sh[:, 0]).clamp(0, 1)
    parts = space.scale * (gaussians.means - centre) @ turn.T, roots @ roots.mT, rgbs, gaussians.opacities[:, None]
    return Splats(*(part.float().cpu().numpy() for part in parts))


class BrowserPreview:
    """Switches one browser between our pictures and its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._node: viser.GaussianSplatHandle | None = None
        self._sent: tuple[int, ViewSpace, Color] | None = None
        self._sent_at = 0.0

    def turn(self, on: bool) -> None:
        """Has the browser draw, or takes it over again."""
        self._sent = None
        self._session.choose(in_browser=on)
        self._session.soon(self._send if on else self._take_away)

    def refresh(self) -> None:
        """Sends the scene again once it has changed."""
        session, current = self._session, self._current()
        due = time.monotonic() - self._sent_at >= RESEND_EVERY
        if session.chosen.in_browser and self._sent is not None and self._sent != current and due:
            session.soon(self._send)

    def _send(self) -> None:
        session = self._session
        if not session.chosen.in_browser:
            return
        self._sent, self._sent_at = self._current(), time.monotonic()
        found = session.source.with_gaussians(lambda gaussians: splats(gaussians, session.space))
        self._node = session.client.scene.add_gaussian_splats(NAME, *found)
        # Where nothing is, the background shows, as in our own pictures.
        plain = torch.tensor(session.chosen.background).expand(16, 16, 3)
        send_picture(session.client, (plain * 255 + 0.5).byte().contiguous(), 95)

    def _current(self) -> tuple[int, ViewSpace, Color]:
        session = self._session
        return session.source.generation, session.space, session.chosen.background

    def _take_away(self) -> None:
        if self._node is not None:
            self._node.remove()
            self._node = None
