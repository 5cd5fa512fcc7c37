"""Times each part of a training step, and the step as the trainer takes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from bench_scenes import BenchScene

from splat.cameras import Cameras, intrinsics
from splat.gaussians import Gaussians
from splat.ops.blend import Blended, blend
from splat.ops.photometric import photometric_loss
from splat.ops.project import Projection, project
from splat.ops.tiles import TileLists, tiles
from splat.render import ANTIALIAS, render
from splat.train.config import TrainConfig
from splat.train.density import make_strategy
from splat.train.optimizer import Adam
from splat.train.representation import Plain

#: Every rate is zero, so that all steps of a benchmark see the same scene; the arithmetic is the same.
RATES: dict[str, float] = dict.fromkeys(["means", "quats", "log_scales", "opacity_logits", "sh", "sh_rest"], 0.0)
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
        self.strategy = make_strategy(TrainConfig(), 1.0, len(scene.gaussians), torch.device("cpu"))
        self.background = torch.zeros(3)

    def forward_backward(self) -> None:
        rendering = render(self.representation.gaussians(), self.scene.camera, background=self.background)
        self.strategy.watch(rendering)
        loss = photometric_loss(rendering.rgb, self.scene.target)
        loss.item()
        loss.backward()
        self.rendering = rendering

    def forward_backward_alone(self) -> None:
        self.forward_backward()
        for parameter in self.representation.parameters.values():
            parameter.grad = None

    def update(self) -> None:
        self.optimizer.step(10, RATES)
        self.strategy.observe(self.rendering, 1)

    def __call__(self) -> None:
        self.forward_backward()
        self.update()


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


def _project(parameters: dict[str, torch.Tensor], camera: Cameras) -> Projection:
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
        projected = _project(parameters, camera)
        result["project"] = measure(lambda: _project(parameters, camera), budget)
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
    projected = _project(parameters, camera)
    outputs = (projected.means2d, projected.conics, projected.opacities, projected.colours)
    cotangents, leaves = blend_backward(), list(parameters.values())

    def project_backward() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(outputs, leaves, cotangents, retain_graph=True)

    result["project backward"] = measure(project_backward, budget)

    step = Step(scene)
    step.forward_backward()
    gradients = {name: parameter.grad for name, parameter in step.representation.parameters.items()}

    def adam() -> None:
        for name, parameter in step.representation.parameters.items():
            parameter.grad = gradients[name]
        step.optimizer.step(10, RATES)

    result["adam"] = measure(adam, budget)
    result["densification statistics"] = measure(lambda: step.strategy.observe(step.rendering, 1), budget)
    result["python"] = measure(Step(empty_scene()), budget)
    result["forward+backward"] = measure(step.forward_backward_alone, budget)
    result["step"] = measure(step, budget)
    result["render"] = render_timing(scene, budget)
    return result
