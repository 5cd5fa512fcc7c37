"""Scenes and looks for the tests of the strategies, made so that it is known which Gaussian a rule must choose."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from splat.cameras import Cameras, intrinsics, look_at
from splat.gaussians import SH_C0, Gaussians
from splat.ops.photometric import photometric_loss
from splat.train.config import DensityConfig, TrainConfig
from splat.train.density.look import Look, Looks
from splat.train.density.protocol import Strategy
from splat.train.frame import Frame

WIDTH, HEIGHT = 64, 48
CPU = torch.device("cpu")


def row_of_gaussians(scales: list[float], opacities: list[float]) -> Gaussians:
    """White ones side by side along x, all before the camera of `looks_at`, the middle one in its centre."""
    count = len(scales)
    means = torch.zeros(count, 3)
    means[:, 0] = 0.5 * (torch.arange(count) - (count - 1) / 2)
    return Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.tensor(scales).log()[:, None].repeat(1, 3),
        opacity_logits=torch.tensor(opacities).logit(),
        sh=torch.full((count, 1, 3), 0.5 / SH_C0),
    )


def camera() -> Cameras:
    viewmat = look_at(torch.tensor([[0.0, 0.0, -2.0]]), torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(viewmat, intrinsics(WIDTH, HEIGHT, 0.8)[None].contiguous(), WIDTH, HEIGHT)


def look_at_photo(gaussians: Gaussians, photo: Tensor, *, absgrad: bool = False, mask: Tensor | None = None) -> Look:
    """The scene seen where a photo [H, W, 3] in [0, 1] was taken."""
    frame = Frame(gaussians, camera(), sh_degree=None, antialias="classic")
    rendering = frame.render(absgrad=absgrad)
    return Look(frame, rendering, rendering.rgb, photo[None], mask)


def looks_of(gaussians: Gaussians, photo: Tensor) -> Looks:
    def looks(count: int) -> Iterator[Look]:
        return iter([look_at_photo(gaussians, photo)])

    return looks


def no_looks(count: int) -> Iterator[Look]:
    raise AssertionError("this strategy looks at no views")


def train_on(strategy: Strategy, gaussians: Gaussians, photo: Tensor) -> None:
    """What the strategy sees of one step."""
    look = look_at_photo(gaussians, photo, absgrad=strategy.absgrad)
    strategy.watch(look.rendering)
    photometric_loss(look.rendering.rgb, look.image, None, 0.2).backward()
    strategy.observe(look.rendering, 1)


def settings(*, max_gaussians: int = 100, **rule: float) -> TrainConfig:
    density = DensityConfig(least_every=1, least_reset_every=1, **rule)  # type: ignore[arg-type]
    return TrainConfig(30_000, max_gaussians=max_gaussians, density=density)


def rendered(gaussians: Gaussians) -> Tensor:
    """[H, W, 3] what the camera sees."""
    return look_at_photo(gaussians, torch.zeros(HEIGHT, WIDTH, 3)).rendering.rgb[0].detach()


def checkerboard(size: int) -> Tensor:
    """[H, W, 3] of black and white squares."""
    rows, columns = torch.arange(HEIGHT)[:, None] // size, torch.arange(WIDTH) // size
    return ((rows + columns) % 2).float()[..., None].expand(HEIGHT, WIDTH, 3).contiguous()
