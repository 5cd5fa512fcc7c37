"""LPIPS, where the `lpips` package and its network's weights are on this machine; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

#: The network whose numbers are reported, and the file torchvision keeps its weights in.
NET, WEIGHTS = "alex", "alexnet-owt-7be5be79.pth"
NAME = "LPIPS v0.1, AlexNet, images scaled to [-1, 1]"


def lpips_metric(device: torch.device) -> tuple[Callable[[Tensor, Tensor], float] | None, str]:
    """The perceptual distance of two images, if it can be had.

    Returns:
        A function of two [H, W, 3] images in [0, 1] and the metric's full name; or None and why it was left out.

    Source:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018. Numbers of other
        networks or input scalings do not compare.
    """
    missing = [name for name in ("lpips", "torchvision") if find_spec(name) is None]
    if missing:
        return None, f"left out: {' and '.join(missing)} not installed"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not weights.exists():
        return None, f"left out: no AlexNet weights at {weights}"
    network = import_module("lpips").LPIPS(net=NET, verbose=False).to(device).eval()

    def distance(rendered: Tensor, target: Tensor) -> float:
        first, second = (image.permute(2, 0, 1)[None].clamp(0, 1) for image in (rendered, target))
        with torch.no_grad():
            return float(network(first, second, normalize=True))

    return distance, NAME
