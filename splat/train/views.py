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
from splat.train.memory import photo_bytes

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

    On a GPU all photos are copied once where there is room for them; else each is copied while the step before it is
    computed.

    Args:
        keep_alpha: leave transparent photos transparent, instead of laying them over the scene's background.
        room: bytes that photos may take on a GPU.
    """

    def __init__(self, scene: Scene, device: torch.device, *, keep_alpha: bool, room: int = 0) -> None:
        # Without a background, a scene hands out transparency as a mask.
        self.scene = dataclasses.replace(scene, background=None) if keep_alpha else scene
        self.keep_alpha = keep_alpha
        self.device = device
        self.reduced: OrderedDict[tuple[int, int], Target] = OrderedDict()
        self.bytes = 0
        self.cache_bytes = CACHE_BYTES
        self.whole: dict[int, Target] | None = None
        self.stream: torch.cuda.Stream | None = None
        self.ahead: dict[int, tuple[Target, torch.cuda.Event]] = {}
        if device.type == "cuda":
            needed = photo_bytes(scene, keep_alpha)
            if needed <= room:
                self.whole = {}
                room -= needed
            else:
                self.stream = torch.cuda.Stream(device)
            self.cache_bytes = min(CACHE_BYTES, room)

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
        while self.bytes > self.cache_bytes and len(self.reduced) > 1:
            self.bytes -= self.reduced.popitem(last=False)[1].image.nbytes
        return target

    def prefetch(self, indices: Iterable[int], factor: int) -> None:
        """Begins to decode what `target` will be asked for; returns at once."""
        self.scene.prefetch([index for index in indices if not self._is_here(index, factor)])

    def upload(self, indices: Iterable[int], factor: int) -> None:
        """Copies what `target` will be asked for next to the GPU, beside what is being computed there; elsewhere, and
        where all photos stay on the GPU, it does nothing."""
        if self.stream is None:
            return
        for index in indices:
            if not self._is_here(index, factor) and index not in self.ahead:
                copied = torch.cuda.Event()
                with torch.cuda.stream(self.stream):
                    self.ahead[index] = self._copy(index), copied
                copied.record(self.stream)

    def _is_here(self, index: int, factor: int) -> bool:
        return (index, factor) in self.reduced or (self.whole is not None and index in self.whole)

    def _read(self, index: int) -> Target:
        """At full size, on the device."""
        if self.whole is not None:
            if index not in self.whole:
                self.whole[index] = self._copy(index)
            return self.whole[index]
        if index not in self.ahead:
            return self._copy(index)
        target, copied = self.ahead.pop(index)
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(copied)
        camera = target.camera
        for tensor in (target.image, target.mask, target.alpha, camera.viewmats, camera.Ks, camera.distortion):
            if tensor is not None:
                # Its memory may be used again only when this stream, too, is done with it.
                tensor.record_stream(stream)
        return target

    def _copy(self, index: int) -> Target:
        image, mask, alpha = self.scene.image(index), self.scene.mask(index), None
        if self.keep_alpha and mask is not None and self.scene.photos[index].mask is None:
            image, alpha, mask = image * mask[..., None], mask[..., None].float(), None
        camera = self.scene.views[index].camera
        tensors = {"viewmats": camera.viewmats, "Ks": camera.Ks, "distortion": camera.distortion}
        copied = {name: on_device(tensor, self.device) for name, tensor in tensors.items() if tensor is not None}
        return Target(
            name=self.scene.views[index].name,
            camera=dataclasses.replace(camera, **copied),
            image=on_device(image[None], self.device),
            mask=None if mask is None else on_device(mask[None], self.device),
            alpha=None if alpha is None else on_device(alpha[None], self.device),
        )


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device; to a GPU it is copied from pinned memory, which the CPU need not wait for."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


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
