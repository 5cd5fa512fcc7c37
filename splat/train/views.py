"""Training photos at the size a step wants them, ready to compare with."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from splat.cameras import Cameras

if TYPE_CHECKING:
    from splat.datasets import Scene

#: Bytes of reduced photos that are kept; photos at full size are the scene's own to keep.
CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Target:
    """One view to be matched.

    Attributes:
        name: of the photo.
        camera: C = 1, at the size of the image.
        image: [1, H, W, 3] uint8.
        mask: [1, H, W] uint8, 1 where a pixel counts; None if all do.
    """

    name: str
    camera: Cameras
    image: Tensor
    mask: Tensor | None


class TrainingViews:
    """The views of a scene, reduced by a factor on demand."""

    def __init__(self, scene: Scene, device: torch.device) -> None:
        self.scene = scene
        self.device = device
        self.reduced: OrderedDict[tuple[int, int], Target] = OrderedDict()
        self.bytes = 0

    def target(self, index: int, factor: int) -> Target:
        """View number `index` with both sides divided by `factor`: each pixel is the mean of those it covers."""
        if factor == 1:
            return self._read(index)
        key = (index, factor)
        if key in self.reduced:
            self.reduced.move_to_end(key)
            return self.reduced[key]
        target = _reduce(self._read(index), factor)
        self.reduced[key] = target
        self.bytes += target.image.nbytes
        while self.bytes > CACHE_BYTES and len(self.reduced) > 1:
            self.bytes -= self.reduced.popitem(last=False)[1].image.nbytes
        return target

    def _read(self, index: int) -> Target:
        view, mask = self.scene.views[index], self.scene.mask(index)
        return Target(
            name=view.name,
            camera=view.camera.to(self.device),
            image=self.scene.image(index)[None].to(self.device),
            mask=None if mask is None else mask[None].to(self.device),
        )


def _reduce(target: Target, factor: int) -> Target:
    height, width = target.image.shape[1] // factor, target.image.shape[2] // factor
    planes = target.image.permute(0, 3, 1, 2).float()
    image = interpolate(planes, (height, width), mode="area").round().to(torch.uint8)
    mask = target.mask
    if mask is not None:
        # A pixel counts only if all it covers does.
        covered = interpolate(mask[:, None].float(), (height, width), mode="area")[:, 0]
        mask = (covered > 1 - 1e-4).to(torch.uint8)
    return Target(
        name=target.name,
        camera=target.camera.resized(width, height),
        image=image.permute(0, 2, 3, 1).contiguous(),
        mask=mask,
    )
