"""Between the scene and a photo of it: what a training step may correct before the two are compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor

from splat.cameras import Cameras
from splat.render import Rendering
from splat.train.frame import Frame


class Correction(Protocol):
    """One reason why photos differ from the scene, learned beside it. What it has no use for it leaves as it is here.

    A step asks in the order of the methods. `view` is an index into the scene's views throughout.

    Attributes:
        name: its own, in checkpoints.
        depth: whether `loss` needs the rendering's depth.
    """

    name: str
    depth: bool = False

    def camera(self, view: int, camera: Cameras) -> Cameras:
        """Where the photo was really taken from: the camera [1] to render, at any size."""
        return camera

    def image(self, view: int, rgb: Tensor) -> Tensor:
        """[1, H, W, 3] what the photo would show of the rendered colours; differentiable."""
        return rgb

    def mask(self, view: int, rgb: Tensor, photo: Tensor, mask: Tensor | None) -> Tensor | None:
        """[1, H, W] uint8, 1 where a pixel counts; None if all do.

        Args:
            rgb: [1, H, W, 3] what `image` returned.
            photo: [1, H, W, 3] uint8 in [0, 255] or float32 in [0, 1].
        """
        return mask

    def loss(self, view: int, step: int, rendering: Rendering, mask: Tensor | None) -> Tensor | None:
        """[] what is added to the photometric loss of step number `step`, the first being 1; differentiable in the
        rendering and in the correction's own parameters."""
        return None

    def update(self, view: int, step: int, frame: Frame) -> None:
        """After backward: moves the correction's own parameters by their gradients, and forgets these."""

    def forget(self) -> None:
        """Drops the gradients of a step that is taken back."""

    def remarks(self) -> list[str]:
        """What the user should know when a run ends, a sentence each."""
        return []

    def state(self) -> dict[str, Tensor]:
        """All that the rest of a run depends on."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continues from a `state`, whose tensors may be on any device."""


class Corrections:
    """Several corrections, one after the other."""

    def __init__(self, corrections: Iterable[Correction]) -> None:
        self.each = list(corrections)
        self.depth = any(correction.depth for correction in self.each)

    def camera(self, view: int, camera: Cameras) -> Cameras:
        for correction in self.each:
            camera = correction.camera(view, camera)
        return camera

    def image(self, view: int, rgb: Tensor) -> Tensor:
        for correction in self.each:
            rgb = correction.image(view, rgb)
        return rgb

    def mask(self, view: int, rgb: Tensor, photo: Tensor, mask: Tensor | None) -> Tensor | None:
        for correction in self.each:
            mask = correction.mask(view, rgb, photo, mask)
        return mask

    def loss(self, view: int, step: int, rendering: Rendering, mask: Tensor | None, photometric: Tensor) -> Tensor:
        """[] the photometric loss and all others."""
        total = photometric
        for correction in self.each:
            loss = correction.loss(view, step, rendering, mask)
            total = total if loss is None else total + loss
        return total

    def update(self, view: int, step: int, frame: Frame) -> None:
        for correction in self.each:
            correction.update(view, step, frame)

    def forget(self) -> None:
        for correction in self.each:
            correction.forget()

    def remarks(self) -> list[str]:
        return [remark for correction in self.each for remark in correction.remarks()]

    def state(self) -> dict[str, dict[str, Tensor]]:
        return {correction.name: correction.state() for correction in self.each}

    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        for correction in self.each:
            correction.restore(state[correction.name])
