"""Gaussians in space and the cameras that see them, for the tests of projection and of everything on top of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from backends import randn
from torch import Tensor

from splat.cameras import CAMERA_MODELS, CameraModel
from splat.lens import lenses

#: Names of the tensors that projection is differentiable in.
PARAMETERS = ("means", "quats", "log_scales", "opacity_logits", "sh", "viewmats")


@dataclass
class World:
    """C cameras and N Gaussians: what `project` takes."""

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    sh: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int
    model: CameraModel = "pinhole"
    unscented: bool = False
    distortion: Tensor | None = None

    def leaves(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Fresh copies of the PARAMETERS, in order."""
        return [getattr(self, name).detach().to(dtype).clone().requires_grad_() for name in PARAMETERS]

    def arguments(self, leaves: list[Tensor]) -> tuple:
        """The positional arguments of `project`, with leaves in place of the PARAMETERS."""
        return *leaves, self.Ks.to(leaves[0].dtype), self.width, self.height

    def settings(self, *, sh_degree: int = 3, eps2d: float = 0.3, compensate: bool = False) -> dict:
        """The keyword arguments of `project`."""
        model = CAMERA_MODELS.index(self.model)
        limits = {"near": 0.05, "far": 50.0}
        settings = {"sh_degree": sh_degree, "camera_model": model, **limits, "eps2d": eps2d, "compensate": compensate}
        lens = {} if self.distortion is None else {"lenses": lenses(self.distortion, self.model)}
        return {**settings, "unscented": self.unscented, **lens}


def cameras(count: int, width: int, height: int, model: CameraModel) -> tuple[Tensor, Tensor]:
    """viewmats [C, 4, 4] and Ks [C, 3, 3] of cameras near the origin that look along +z, each turned a little more."""
    viewmats, Ks = torch.eye(4).repeat(count, 1, 1), torch.eye(3).repeat(count, 1, 1)
    focal = 0.25 * width if model == "ortho" else 0.9 * width
    for i in range(count):
        cos, sin = math.cos(0.2 * i), math.sin(0.2 * i)
        viewmats[i, :3, :3] = torch.tensor([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
        viewmats[i, :3, 3] = torch.tensor([0.1, -0.2, 0.5]) * i
        Ks[i, :2] = torch.tensor([[focal, 0.0, 0.52 * width], [0.0, 1.1 * focal, 0.48 * height]])
    return viewmats, Ks


def random_world(
    count: int,
    *,
    views: int = 2,
    model: CameraModel = "pinhole",
    sh_degree: int = 3,
    size: float = 0.08,
    width: int = 96,
    height: int = 64,
    seed: int = 0,
) -> World:
    """Gaussians all around the cameras: in view, off the image, behind, of opacities from invisible to solid."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return randn(*shape, generator=generator)

    viewmats, Ks = cameras(views, width, height, model)
    return World(
        means=normal(count, 3) * 2 + torch.tensor([0.0, 0.0, 4.0]),
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.5 + math.log(size),
        opacity_logits=normal(count) * 2,
        sh=normal(count, (sh_degree + 1) ** 2, 3) * 0.3,
        viewmats=viewmats,
        Ks=Ks,
        width=width,
        height=height,
        model=model,
    )


def four_gaussians(model: CameraModel = "pinhole") -> World:
    """Four hand-placed Gaussians, visible to both cameras and away from every threshold."""
    viewmats, Ks = cameras(2, 64, 48, model)
    return World(
        means=torch.tensor([[0.1, 0.2, 2.0], [-0.5, 0.1, 3.0], [0.4, -0.3, 2.5], [-0.2, -0.4, 4.0]]),
        quats=torch.tensor([[0.9, 0.1, -0.2, 0.3], [0.5, 0.5, 0.1, -0.4], [1.2, 0.0, 0.3, 0.2], [-0.3, 0.8, 0.2, 0.1]]),
        log_scales=torch.tensor([[0.05, 0.1, 0.02], [0.2, 0.05, 0.1], [0.1, 0.1, 0.15], [0.3, 0.08, 0.1]]).log(),
        opacity_logits=torch.tensor([0.5, 2.0, -0.5, 1.0]),
        # Bright enough that no channel is near the clamp at 0.
        sh=0.1 * randn(4, 25, 3, generator=torch.Generator().manual_seed(1)) + 0.3 * torch.eye(25)[0, :, None],
        viewmats=viewmats,
        Ks=Ks,
        width=64,
        height=48,
        model=model,
    )
