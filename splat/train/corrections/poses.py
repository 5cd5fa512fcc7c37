"""Poses that are a little wrong: each training photo's own is refined along with the scene.

A pose is moved by a rotation vector about the camera's centre and a displacement of that centre, both along the world's
axes. The photos alone cannot tell a movement of all cameras, or a change of their scale, from one of the scene, so what
all training photos have in common is taken off: the scene stays where the capture has it, and where the poses of
held-out photos expect it. Fixing the first camera instead would move everything else by that camera's error.

Source:
    Lin et al., "BARF: bundle-adjusting neural radiance fields", 2021; gsplat's pose optimisation. Differs: poses wait
    for the scene to take shape; Adam counts the visits of each, and its rate follows from how far a pose may go.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splat.cameras import Cameras, moved
from splat.datasets.frames import counted, listed
from splat.train.corrections.protocol import Correction
from splat.train.frame import Frame

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Share of the run that is left to the scene alone: before there are any shapes, gradients lead poses astray.
START = 0.15
#: How far a pose can go in a run: radians, and world units, in which cameras are about 1 away from what they look at.
REACH = 0.02
#: Rate at the last step, in that at the first; between them it falls exponentially.
LAST_RATE = 0.1
#: A pose is visited but tens of times, which is too seldom for a longer memory of gradients.
BETA1, BETA2, EPS = 0.5, 0.999, 1e-15
#: Error of a photo, in the median of all, from which on its pose must be beyond mending, if it also stands out from the
#: others by so many of their median deviations (of logarithms); the last visits count.
OUTLIER, DEVIATIONS, FORGETTING = 1.7, 5.0, 0.5
#: What a checkpoint holds.
STATE = ("twists", "first", "second", "visits", "errors")


class Poses(Correction):
    """The poses of the training photos.

    Args:
        iterations: steps of the run.

    Attributes:
        twists: [V, 6] rotation vector, radians, and displacement, world units, of each. Their mean has no effect, nor
            has a displacement of all away from their middle.
    """

    name = "poses"

    def __init__(self, scene: Scene, iterations: int, device: torch.device) -> None:
        self.rows = {view: row for row, view in enumerate(scene.train)}
        self.iterations = iterations
        views = len(self.rows)
        visits = (1 - START) * iterations / views
        self.rate = REACH * math.log(1 / LAST_RATE) / (1 - LAST_RATE) / max(1, visits)
        self.viewmats = torch.cat([scene.views[view].camera.viewmats for view in scene.train]).double().to(device)
        centres = torch.cat([scene.views[view].camera.positions for view in scene.train]).double().to(device)
        self.spread = centres - centres.mean(dim=0)
        self.twists = torch.zeros(views, 6, dtype=torch.float64, device=device)
        self.first, self.second = torch.zeros_like(self.twists), torch.zeros_like(self.twists)
        self.visits = torch.zeros(views, dtype=torch.float64, device=device)
        self.errors = torch.zeros(views, device=device)
        self.names = [scene.views[view].name for view in scene.train]

    def camera(self, view: int, camera: Cameras) -> Cameras:
        if view not in self.rows:
            return camera
        viewmat = self._viewmat(self.rows[view], self.twists[self.rows[view]])
        return dataclasses.replace(camera, viewmats=viewmat[None].to(camera.viewmats))

    def mask(self, view: int, rgb: Tensor, photo: Tensor, mask: Tensor | None) -> Tensor | None:
        """Leaves the mask as it is; this is where render and photo meet."""
        truth = photo.float() / 255 if photo.dtype == torch.uint8 else photo
        error = (rgb - truth).abs().mean(dim=-1)
        error = error.mean() if mask is None else (error * mask).sum() / mask.sum().clamp(min=1)
        self.errors[self.rows[view]].lerp_(error, FORGETTING)
        return mask

    def update(self, view: int, step: int, frame: Frame) -> None:
        done = (step / self.iterations - START) / (1 - START)
        if done < 0:
            return
        row = self.rows[view]
        twist = self.twists[row].clone().requires_grad_()
        viewmat = self._viewmat(row, twist)
        (gradient,) = torch.autograd.grad(viewmat, twist, frame.viewmats_gradient()[0].double())
        visits = self.visits[row] = self.visits[row] + 1
        first = self.first[row] = torch.lerp(gradient, self.first[row], BETA1)
        second = self.second[row] = torch.lerp(gradient * gradient, self.second[row], BETA2)
        size = (second / (1 - BETA2**visits)).sqrt() + EPS
        self.twists[row] -= self.rate * LAST_RATE**done * (first / (1 - BETA1**visits)) / size

    def remarks(self) -> list[str]:
        excess = (self.errors / self.errors.median()).log()
        wrong = (excess > max(math.log(OUTLIER), DEVIATIONS * float(excess.abs().median()))).tolist()
        names = [name for name, is_wrong in zip(self.names, wrong, strict=True) if is_wrong]
        if not names:
            return []
        return [
            f"The scene does not match {counted(len(names), 'photo')}, whose pose must be too wrong to be refined: "
            f"{listed(names)}; leave them out, or place them anew with `splat capture`."
        ]

    def state(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in STATE}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name in STATE:
            setattr(self, name, state[name].to(self.viewmats.device, copy=True))

    def _viewmat(self, row: int, twist: Tensor) -> Tensor:
        common = self.twists.mean(dim=0)
        scale = (self.twists[:, 3:] * self.spread).sum() / self.spread.square().sum().clamp(min=1e-12)
        return moved(self.viewmats[row], twist - common - torch.cat([common.new_zeros(3), scale * self.spread[row]]))
