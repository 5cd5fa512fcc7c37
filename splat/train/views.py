"""Training photos at the size a step wants them, ready to compare with."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from splat.cameras import Cameras

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Bytes of reduced photos that are kept; photos at full size are the scene's own to keep.
CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Target:
    """One view to be matched.

    Attributes:
        name: of the photo.
        camera: C = 1, at the size of the image.
        image: [1, H, W, 3] uint8; where the photo is transparent, already multiplied by `alpha`.
        mask: [1, H, W] uint8, 1 where a pixel counts; None if all do.
        alpha: [1, H, W, 1] float32, how much of a pixel is the photo's; None if all is.
    """

    name: str
    camera: Cameras
    image: Tensor
    mask: Tensor | None
    alpha: Tensor | None

    def over(self, background: Tensor) -> Tensor:
        """[1, H, W, 3] the photo in front of a colour [3]: uint8 as it is, or float32 where it is transparent."""
        if self.alpha is None:
            return self.image
        return self.image.float() / 255 + (1 - self.alpha) * background


class TrainingViews:
    """The views of a scene, reduced by a factor on demand.

    Args:
        keep_alpha: leave transparent photos transparent, instead of laying them over the scene's background.
    """

    def __init__(self, scene: Scene, device: torch.device, *, keep_alpha: bool) -> None:
        # Without a background, a scene hands out transparency as a mask.
        self.scene = dataclasses.replace(scene, background=None) if keep_alpha else scene
        self.keep_alpha = keep_alpha
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

    def prefetch(self, indices: Iterable[int], factor: int) -> None:
        """Begins to decode what `target` will be asked for; returns at once."""
        self.scene.prefetch([index for index in indices if (index, factor) not in self.reduced])

    def _read(self, index: int) -> Target:
        image, mask, alpha = self.scene.image(index), self.scene.mask(index), None
        if self.keep_alpha and mask is not None and self.scene.photos[index].mask is None:
            image, alpha, mask = image * mask[..., None], mask[None, ..., None].float().to(self.device), None
        return Target(
            name=self.scene.views[index].name,
            camera=self.scene.views[index].camera.to(self.device),
            image=image[None].to(self.device),
            mask=None if mask is None else mask[None].to(self.device),
            alpha=alpha,
        )


def _reduce(target: Target, factor: int) -> Target:
    size = (target.camera.height // factor, target.camera.width // factor)
    image = _shrink(target.image.float(), size).round().to(torch.uint8)
    mask, alpha = target.mask, target.alpha
    if mask is not None:
        # A pixel counts only if all it covers does.
        mask = (_shrink(mask[..., None].float(), size)[..., 0] > 1 - 1e-4).to(torch.uint8)
    return Target(
        name=target.name,
        camera=target.camera.resized(size[1], size[0]),
        image=image,
        mask=mask,
        alpha=None if alpha is None else _shrink(alpha, size),
    )


def _shrink(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """[1, H, W, D] -> [1, *size, D], each the mean of the pixels it covers."""
    return interpolate(pixels.permute(0, 3, 1, 2), size, mode="area").permute(0, 2, 3, 1).contiguous()
