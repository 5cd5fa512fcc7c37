"""What a GPU's memory allows at best: the bytes that each part of a step has to move, over a measured copy's speed.

Counted is what must be read once and written once, not what kernels really move; arithmetic is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.render import render

#: Floats of a Gaussian: centre, quaternion, scales and opacity (11), and SH of degree 3 (48).
SHAPE, SH = 11, 48
#: Of a projected one: centre, depth, conic, opacity, extent, colour, and its key and place for sorting: bytes.
RECORD = 52
#: Of that, what blending reads for each instance: centre, conic, opacity, colour and the id.
BLENDED = 40
#: What forward leaves for backward for each instance: transmittance and colour of 256 pixels each 64 instances.
TRAIL = 64
MEASURED_BYTES = 1 << 30


@dataclass(frozen=True)
class Counts:
    """What a view is made of: Gaussians, those in sight, their instances on tiles, and pixels."""

    gaussians: int
    visible: int
    instances: int
    pixels: int

    def bytes_by_op(self) -> dict[str, int]:
        """By op; a training step has project_adam in place of project_backward."""
        n, v, i, p = self.gaussians, self.visible, self.instances, self.pixels
        return {
            "project": 4 * SHAPE * n + 4 * SH * v + RECORD * v,
            # Sorting the visible by depth, emitting instances, sorting them by tile.
            "tiles": 64 * v + 6 * i + 24 * i,
            "blend": BLENDED * i + 20 * p + TRAIL * i,
            # Two images in, the terms of the gradient out and in, the gradient out.
            "photometric_loss": 130 * p,
            "blend_backward": TRAIL * i + 40 * i + 32 * p,
            "project_backward": 4 * SHAPE * v + 4 * SH * v + 2 * 40 * v + 4 * (SHAPE + SH) * n,
            # Parameters and two moments in and out, of SH only those in sight, with the step of their last motion;
            # projection and gradient in; and of every Gaussian whether a camera sees it.
            "project_adam": (24 * SHAPE + 8) * n + (24 * SH + 2 * 40 + 8) * v,
        }


def count(gaussians: Gaussians, camera: Cameras) -> Counts:
    with torch.no_grad():
        rendering = render(gaussians, camera)
    visible, instances = int(rendering.visible.sum()), rendering.lists.gaussian_ids.shape[0]
    return Counts(len(gaussians), visible, instances, camera.width * camera.height)


def floors(counts: Counts) -> dict[str, int]:
    """Bytes by stage of the benchmark."""
    size = counts.bytes_by_op()
    drawn = size["project"] + size["tiles"] + size["blend"]
    return {
        # Nothing is noted for a backward that does not come.
        "forward": drawn - TRAIL * counts.instances,
        "forward+backward": drawn + size["blend_backward"] + size["project_backward"],
        "step": drawn + size["photometric_loss"] + size["blend_backward"] + size["project_adam"],
    }


def copy_bandwidth(device: torch.device, median: Callable[[Callable[[], object]], float]) -> float:
    """Bytes a second of a large copy on the device, read and written both counted."""
    size = MEASURED_BYTES if device.type == "cuda" else 1 << 24
    source, target = (torch.zeros(size // 4, device=device) for _ in range(2))
    return 2 * size / (median(lambda: target.copy_(source)) * 1e-3)
