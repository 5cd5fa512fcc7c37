"""Times each part of a training step, and the step as the trainer takes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from bench_scenes import BenchScene

from splat.cameras import Cameras, intrinsics
from splat.gaussians import Gaussians
from splat.ops import project_adam
from splat.ops.adam import adam
from splat.ops.blend import Blended, blend
from splat.ops.photometric import photometric_loss
from splat.ops.project import Projection, project
from splat.ops.tiles import TileLists, tiles
from splat.render import ANTIALIAS, render
from splat.train.config import TrainConfig
from splat.train.density import make_strategy
from splat.train.frame import Frame
from splat.train.optimizer import Adam
from splat.train.representation import Plain

#: Every rate is zero, so that all steps of a benchmark see the same scene; the arithmetic is the same.
RATES: dict[str, float] = {name: 0.0 for name in project_adam.RATES}
EPS2D, COMPENSATE = ANTIALIAS["classic"]
MOST_RUNS, LEAST_RUNS = 60, 7


@dataclass(frozen=True)
class Timing:
    """Milliseconds. The minimum repeats best on a machine that does other things as well."""

    minimum: float
    median: float


@dataclass(frozen=True)
class Budget:
    """How each measurement is made.

    Attributes:
        seconds: to spend on it, about.
        cpu_time: take the CPU time of all threads over their number, not the time that passes.
    """

    seconds: float
    cpu_time: bool

    def clock(self) -> float:
        return time.process_time() / torch.get_num_threads() if self.cpu_time else time.perf_counter()


def measure(run: Callable[[], object], budget: Budget) -> Timing:
    """Runs something over and over, after two runs that do not count."""
    run()
    run()
    times: list[float] = []
    end = time.perf_counter() + budget.seconds
    while len(times) < LEAST_RUNS or (len(times) < MOST_RUNS and time.perf_counter() < end):
        start = budget.clock()
        run()
        times.append((budget.clock() - start) * 1e3)
    times.sort()
    return Timing(times[0], times[len(times) // 2])


class Step:
    """One training step over and over, as train/trainer.py takes it, on one view."""

    def __init__(self, scene: BenchScene) -> None:
        self.scene = scene
        self.representation = Plain(scene.gaussians)
        self.optimizer = Adam(self.representation.parameters)
        self.strategy = make_strategy(TrainConfig(strategy="adc"), 1.0, len(scene.gaussians), torch.device("cpu"))
        self.background = torch.zeros(3)

    def __call__(self) -> None:
        gaussians = self.representation.gaussians().detach()
        self.frame = Frame(gaussians, self.scene.camera, sh_degree=None, antialias="classic")
        self.rendering = self.frame.render(background=self.background)
        self.strategy.watch(self.rendering)
        loss = photometric_loss(self.rendering.rgb, self.scene.target)
        loss.item()
        loss.backward()
        self.observe()
        self.update()

    def observe(self) -> None:
        self.strategy.observe(self.rendering, 1)

    def update(self) -> None:
        self.optimizer.step(10, RATES, self.frame)


def empty_scene() -> BenchScene:
    """One Gaussian on one tile: what a step on it takes is Python, autograd and dispatch."""
    gaussians = Gaussians(
        torch.tensor([[0.0, 0.0, 2.0]]),
        torch.ones(1, 4),
        torch.full((1, 3), -3.0),
        torch.zeros(1),
        torch.zeros(1, 16, 3),
    )
    camera = Cameras(torch.eye(4)[None], intrinsics(16, 16, 1.0)[None], 16, 16)
    return BenchScene("empty", gaussians, camera, torch.zeros(1, 16, 16, 3, dtype=torch.uint8), 1)


def project_view(parameters: dict[str, torch.Tensor], camera: Cameras) -> Projection:
    return project(
        **parameters,
        viewmats=camera.viewmats,
        Ks=camera.Ks,
        width=camera.width,
        height=camera.height,
        sh_degree=3,
        camera_model=0,
        near=0.01,
        far=1e10,
        eps2d=EPS2D,
        unscented=False,
        compensate=COMPENSATE,
    )


def _blend(inputs: Sequence[torch.Tensor], lists: TileLists, width: int, height: int) -> Blended:
    means2d, conics, opacities, colours = inputs
    return blend(means2d, conics, opacities, colours, torch.zeros(1, 3), lists, width, height)


def _leaves(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


def render_timing(scene: BenchScene, budget: Budget) -> Timing:
    with torch.no_grad():
        return measure(lambda: render(scene.gaussians, scene.camera), budget)


def stage_timings(scene: BenchScene, budget: Budget) -> dict[str, Timing]:
    """All parts of a step, in its order, then what contains them."""
    camera, width, height = scene.camera, scene.camera.width, scene.camera.height
    result: dict[str, Timing] = {}
    parameters = dict(zip(scene.gaussians.parameters(), _leaves(*scene.gaussians.parameters().values()), strict=True))

    with torch.no_grad():
        projected = project_view(parameters, camera)
        result["project"] = measure(lambda: project_view(parameters, camera), budget)
        geometry = (projected.means2d, projected.conics, projected.depths, projected.opacities, projected.extents)
        lists = tiles(*geometry, width, height)
        result["tiles"] = measure(lambda: tiles(*geometry, width, height), budget)
        flat = (projected.means2d, projected.conics, projected.opacities, projected.colours)
        result["blend"] = measure(lambda: _blend(flat, lists, width, height), budget)

    blend_inputs = _leaves(*flat)
    blended = _blend(blend_inputs, lists, width, height)
    (image,) = _leaves(blended.image)

    def loss_and_gradient() -> None:
        photometric_loss(image, scene.target).backward()

    result["loss"] = measure(loss_and_gradient, budget)
    image.grad = None
    loss_and_gradient()
    v_image = image.grad
    assert v_image is not None

    def blend_backward() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(blended.image, blend_inputs, v_image, retain_graph=True)

    result["blend backward"] = measure(blend_backward, budget)
    projected = project_view(parameters, camera)
    outputs = (projected.means2d, projected.conics, projected.opacities, projected.colours)
    cotangents, leaves = blend_backward(), list(parameters.values())

    def project_backward() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(outputs, leaves, cotangents, retain_graph=True)

    result["project backward"] = measure(project_backward, budget)

    gradients = project_backward()
    moments = [[torch.zeros_like(leaf) for leaf in leaves] for _ in range(2)]
    result["adam"] = measure(lambda: adam(leaves, gradients, *moments, rates=[0.0] * len(leaves), step=10), budget)

    step = Step(scene)
    step()
    result["project backward into adam"] = measure(step.update, budget)
    result["densification statistics"] = measure(step.observe, budget)
    result["python"] = measure(Step(empty_scene()), budget)

    def forward_backward() -> tuple[torch.Tensor, ...]:
        rendering = render(Gaussians(*leaves), camera, background=step.background)
        return torch.autograd.grad(photometric_loss(rendering.rgb, scene.target), leaves)

    result["forward+backward"] = measure(forward_backward, budget)
    result["step"] = measure(step, budget)
    result["render"] = render_timing(scene, budget)
    return result
