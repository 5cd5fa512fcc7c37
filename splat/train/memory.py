"""What a run needs of a GPU's memory: an estimate before it starts, and how to tell that the memory is used up."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splat.train.config import TrainConfig

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Bytes of a Gaussian while it is drawn: what projection makes (48) and its gradients (40), sorting and offsets. The
#: Gaussians' own parameters have no gradients in memory.
RENDER_BYTES = 136
#: Bytes of a Gaussian on one tile: ids and slots, sorting, what forward notes for backward (65), sums of gradients; and
#: a quarter of that for the places that are kept free (`InstanceBound`).
INSTANCE_BYTES = 175
#: Such instances: so many a Gaussian and so many a tile. Scenes half trained have fewer.
INSTANCES_PER_GAUSSIAN, INSTANCES_PER_TILE, TILE_PIXELS = 2, 100, 256
#: Bytes of a pixel: the image, its gradient, the photo, the loss's own, and the last note of each tile.
PIXEL_BYTES = 80
#: Share of the free memory that is counted on: the allocator's blocks leave gaps.
USABLE = 0.9


@dataclass(frozen=True)
class MemoryPlan:
    """How a device's memory is shared out.

    Attributes:
        max_gaussians: the cap that fits.
        photo_bytes: what training photos may take, so that they are copied to the device once.
    """

    max_gaussians: int
    photo_bytes: int


def bytes_per_gaussian(sh_degree: int, sh_bits: int = 32) -> int:
    """At the peak of a step or of a refinement, whichever needs more."""
    parameters = 4 * 11 + sh_bits // 8 * 3 * (sh_degree + 1) ** 2
    # Parameters and two moments, the last step that moved it, the strategy's statistics.
    held = 3 * parameters + 4 + 8
    step = RENDER_BYTES + INSTANCES_PER_GAUSSIAN * INSTANCE_BYTES
    # A refinement has what there was and what there will be at once.
    return held + max(step, held)


def bytes_per_image(pixels: int) -> int:
    return pixels * PIXEL_BYTES + -(-pixels // TILE_PIXELS) * INSTANCES_PER_TILE * INSTANCE_BYTES


def free_bytes(device: torch.device) -> int:
    """Free memory of a GPU, with what torch has taken and does not use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def plan_memory(scene: Scene, config: TrainConfig, device: torch.device) -> MemoryPlan:
    """Shares out the memory of the device. Warns when the settings need more than there is; a cap that the user chose
    (one that is not the default) stays nevertheless. The CPU's memory is not planned."""
    if device.type != "cuda":
        return MemoryPlan(config.max_gaussians, 0)
    free, asked = free_bytes(device), config.budget.vram
    free = free if asked is None else min(free, asked)
    return share_out(free, max(_pixels(scene), default=0), config)


def share_out(free: int, pixels: int, config: TrainConfig) -> MemoryPlan:
    """The plan for so many free bytes and images of at most so many pixels; warns as `plan_memory` does."""
    each, fixed = bytes_per_gaussian(config.sh_degree, config.sh_bits), bytes_per_image(pixels)
    usable = int(USABLE * free)
    cap, fitting = config.max_gaussians, max((usable - fixed) // each, 1)
    if fitting < cap:
        chosen = cap != TrainConfig.max_gaussians
        cure = f"--max-gaussians {fitting} would fit" if chosen else f"the cap is lowered to {fitting:,}"
        warnings.warn(
            f"{cap:,} Gaussians on images of {pixels / 1e6:.1f} megapixels need about {_gigabytes(fixed + cap * each)} "
            f"of GPU memory and {_gigabytes(free)} are free: {cure}",
            stacklevel=2,
        )
        cap = cap if chosen else fitting
    return MemoryPlan(cap, max(usable - fixed - cap * each, 0) // 2)


def photo_bytes(scene: Scene, keep_alpha: bool) -> int:
    """What all training photos take on a device, at most: colours and a mask, or the alpha of transparent ones."""
    return sum(_pixels(scene)) * (7 if keep_alpha else 4)


def _pixels(scene: Scene) -> list[int]:
    cameras = [scene.views[index].camera for index in scene.train]
    return [camera.width * camera.height for camera in cameras]


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def most_opaque(opacity_logits: Tensor, count: int) -> Tensor:
    """[N] bool: the `count` most opaque Gaussians; among equals the first."""
    ranked = opacity_logits.sort(descending=True, stable=True).indices
    keep = torch.zeros(len(opacity_logits), dtype=torch.bool, device=opacity_logits.device)
    keep[ranked[:count]] = True
    return keep


class OutOfMemory:
    """Tells errors that mean a device's memory is used up from others.

    An op of ours that can't allocate is told nothing but that torch refused; the allocator's own count tells why.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.refusals = self._refusals()

    def __call__(self, error: Exception) -> bool:
        before, self.refusals = self.refusals, self._refusals()
        if isinstance(error, torch.OutOfMemoryError):
            return True
        return isinstance(error, RuntimeError) and ("out of memory" in str(error) or self.refusals > before)

    def _refusals(self) -> int:
        return torch.cuda.memory_stats(self.device).get("num_ooms", 0) if self.device.type == "cuda" else 0
