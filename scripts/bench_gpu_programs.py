"""What the GPU benchmark times: the stages of a training step by Splat and by gsplat, on the same scene."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Protocol

import torch
from bench_scenes import BenchScene
from torch import Tensor

from splat.ops.photometric import photometric_loss
from splat.render import render
from splat.train.frame import Frame
from splat.train.instance_bound import InstanceBound
from splat.train.optimizer import Adam
from splat.train.representation import Plain

#: forward: the picture alone. forward+backward: and the parameters' gradients from a given gradient of the picture.
#: step: picture, loss (L1 and SSIM), gradients, Adam.
STAGES = ("forward", "forward+backward", "step")
#: Every rate is zero, so that all runs see the same scene; the arithmetic is the same.
RATES: dict[str, float] = dict.fromkeys(["means", "quats", "log_scales", "opacity_logits", "sh", "sh_rest"], 0.0)
SSIM_WEIGHT = 0.2


class Program(Protocol):
    """One stage of one program; calling it does it once, and queues it only where a GPU does it."""

    def __init__(self, scene: BenchScene, stage: str) -> None: ...

    def __call__(self) -> None: ...


class _Stages:
    """The stages, for a program that has `parameters`, `draw`, `loss` and `update`."""

    def __init__(self, scene: BenchScene, stage: str) -> None:
        self.scene, self.stage = scene, stage
        camera = scene.camera
        if stage == "forward+backward":
            generator = torch.Generator().manual_seed(0)
            cotangent = torch.randn(1, camera.height, camera.width, 3, generator=generator)
            self.cotangent = (cotangent / cotangent.numel()).to(camera.viewmats.device)

    parameters: dict[str, Tensor]

    def draw(self) -> Tensor:
        """[1, H, W, 3] differentiable."""
        raise NotImplementedError

    def loss(self, image: Tensor) -> Tensor:
        raise NotImplementedError

    def update(self) -> None:
        raise NotImplementedError

    @torch.no_grad()
    def image(self) -> Tensor:
        return self.draw()

    def __call__(self) -> None:
        if self.stage == "forward":
            self.image()
            return
        image = self.draw()
        if self.stage == "step":
            self.loss(image).backward()
            self.update()
            return
        image.backward(self.cotangent)
        for parameter in self.parameters.values():
            parameter.grad = None


class Splat(_Stages):
    """As train/trainer.py takes a step, without counting for densification.

    Args:
        waits: have each step wait for the length of its lists, as a run's first does.
    """

    def __init__(self, scene: BenchScene, stage: str, *, waits: bool = False) -> None:
        super().__init__(scene, stage)
        device = scene.camera.viewmats.device
        self.instance_bound = InstanceBound(is_used=device.type == "cuda" and not waits)
        self.representation = Plain(scene.gaussians.to(device))
        self.parameters = self.representation.parameters
        self.optimizer = Adam(self.parameters) if stage == "step" else None

    def draw(self) -> Tensor:
        if self.optimizer is None:
            return render(self.representation.gaussians(), self.scene.camera).rgb
        self.frame = Frame(self.representation.gaussians(), self.scene.camera, sh_degree=None, antialias="classic")
        rendering = self.frame.render(bound=self.instance_bound.next())
        self.instance_bound.watch(rendering.lists.needed)
        return rendering.rgb

    def loss(self, image: Tensor) -> Tensor:
        return photometric_loss(image, self.scene.target, None, SSIM_WEIGHT)

    def update(self) -> None:
        assert self.optimizer is not None
        self.optimizer.step(10, RATES, self.frame)


class Gsplat(_Stages):
    """As gsplat's own trainer takes a step: `rasterization` with packed=False, fused-ssim (Splat's SSIM where that is
    not installed), torch's fused Adam. The photo lies there as float already, which is in its favour."""

    def __init__(self, scene: BenchScene, stage: str) -> None:
        super().__init__(scene, stage)
        self.rasterization = import_module("gsplat").rasterization
        device = scene.camera.viewmats.device
        tensors = scene.gaussians.parameters().items()
        self.parameters = {name: tensor.to(device).clone().requires_grad_() for name, tensor in tensors}
        self.target = scene.target.float() / 255 if find_spec("fused_ssim") else scene.target
        if stage == "step":
            groups = [{"params": [parameter], "lr": 0.0} for parameter in self.parameters.values()]
            self.optimizer = torch.optim.Adam(groups, eps=1e-15, fused=device.type == "cuda")

    def draw(self) -> Tensor:
        camera, p = self.scene.camera, self.parameters
        image, _, _ = self.rasterization(
            p["means"],
            p["quats"],
            p["log_scales"].exp(),
            p["opacity_logits"].sigmoid(),
            p["sh"],
            camera.viewmats,
            camera.Ks,
            camera.width,
            camera.height,
            sh_degree=3,
            packed=False,
        )
        return image

    def loss(self, image: Tensor) -> Tensor:
        if self.target.dtype == torch.uint8:
            return photometric_loss(image, self.target, None, SSIM_WEIGHT)
        similarity = import_module("fused_ssim").fused_ssim(
            image.permute(0, 3, 1, 2), self.target.permute(0, 3, 1, 2), padding="same"
        )
        return (1 - SSIM_WEIGHT) * (image - self.target).abs().mean() + SSIM_WEIGHT * (1 - similarity)

    def update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @staticmethod
    def version() -> str:
        try:
            return f"gsplat {version('gsplat')}, {'fused-ssim' if find_spec('fused_ssim') else 'SSIM of Splat'}"
        except PackageNotFoundError:
            return ""

    @staticmethod
    def problem(device: torch.device) -> str:
        """Why it can't be timed; empty if it can. The first call builds its kernels, which takes minutes."""
        if device.type != "cuda":
            return "it needs a GPU"
        if find_spec("gsplat") is None:
            return "its wheel is not installed"
        try:
            means = torch.tensor([[0.0, 0.0, 2.0]], device=device)
            rasterization = import_module("gsplat").rasterization
            rasterization(
                means,
                torch.ones(1, 4, device=device),
                torch.full((1, 3), 0.1, device=device),
                torch.ones(1, device=device),
                torch.zeros(1, 16, 3, device=device),
                torch.eye(4, device=device)[None],
                torch.tensor([[[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]], device=device),
                16,
                16,
                sh_degree=3,
                packed=False,
            )
        except Exception as error:  # Whatever its build says: the benchmark goes on without it.
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        return ""
