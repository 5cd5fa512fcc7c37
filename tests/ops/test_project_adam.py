"""Backward of the projection with Adam's step: against the references one after the other; pauses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from backends import rand, randn
from torch import Tensor
from worlds import World, random_world

from splat.cameras import CameraModel
from splat.ops.project import Projection, project
from splat.ops.project_adam import PARAMETERS, project_adam
from splat.reference.adam import adam as reference_adam
from splat.reference.adam import catch_up as reference_catch_up
from splat.reference.project import project as reference_project

RATES = [0.01, 0.02, 0.03, 0.04, 0.05, 0.002]
#: Of the motion: float32 gradients, relative to their norm, and one step's roundings.
TOLERANCE = 2e-4
#: Large, so that a gradient of nearly nothing does not make a whole step by its sign alone.
EPS = 0.1


@dataclass
class Training:
    """Gaussians in training: what the op changes."""

    gaussians: list[Tensor]
    exp_avgs: list[Tensor]
    exp_avg_sqs: list[Tensor]
    last_steps: Tensor

    def copy(self) -> Training:
        gaussians, exp_avgs, exp_avg_sqs = (
            [x.clone() for x in tensors] for tensors in (self.gaussians, self.exp_avgs, self.exp_avg_sqs)
        )
        return Training(gaussians, exp_avgs, exp_avg_sqs, self.last_steps.clone())

    def lists(self) -> tuple[list[Tensor], ...]:
        return self.gaussians, self.exp_avgs, self.exp_avg_sqs

    def tensors(self) -> list[Tensor]:
        return [*self.gaussians, *self.exp_avgs, *self.exp_avg_sqs, self.last_steps]


def training(world: World, last_step: int) -> Training:
    generator = torch.Generator().manual_seed(3)
    gaussians = [getattr(world, name).clone() for name in PARAMETERS]
    exp_avgs = [randn(*x.shape, generator=generator) for x in gaussians]
    exp_avg_sqs = [rand(*x.shape, generator=generator) for x in gaussians]
    return Training(gaussians, exp_avgs, exp_avg_sqs, torch.full((len(world.means),), last_step, dtype=torch.int32))


def projected(world: World, **settings) -> tuple[Projection, Projection]:
    """What the world's cameras see, and cotangents of it of all sizes."""
    with torch.no_grad():
        projection = project(*world.arguments(world.leaves()), **settings)
    generator = torch.Generator().manual_seed(7)
    return projection, Projection(*(randn(*x.shape, generator=generator) for x in projection))


def step(world: World, state: Training, number: int, **settings) -> None:
    projection, cotangents = projected(world, **settings)
    project_adam(
        state.gaussians, state.exp_avgs, state.exp_avg_sqs, state.last_steps, world.viewmats, world.Ks, world.width,
        world.height, projection=projection, cotangents=cotangents, rates=RATES, step=number, eps=EPS, **settings,
    )  # fmt: skip


def rate_of(name: str, tensor: Tensor) -> float | Tensor:
    if name != "sh":
        return RATES[PARAMETERS.index(name)]
    rates = torch.full((tensor.shape[1], 1), RATES[5], dtype=torch.float64)
    rates[0] = RATES[4]
    return rates


def expected(world: World, state: Training, number: int, **settings) -> Training:
    """By autograd through the reference, and the reference's Adam, in float64."""
    leaves = world.leaves(torch.float64)
    outputs = Projection(*reference_project(*world.arguments(leaves), **settings))
    projection, cotangents = projected(world, **settings)
    pairs = [(x, v.double()) for x, v, name in zip(outputs, cotangents, Projection._fields, strict=True)
             if name != "extents" and x.requires_grad]  # fmt: skip
    gradients = torch.autograd.grad([x for x, _ in pairs], leaves, [v for _, v in pairs], allow_unused=True)
    seen = (projection.extents[..., 0] > 0).any(0)
    result = state.copy()
    skipped = number - 1 - int(state.last_steps.max()) if len(seen) else 0
    for index, name in enumerate(PARAMETERS):
        gradient = torch.zeros_like(leaves[index]) if gradients[index] is None else gradients[index]
        rows = (seen, slice(0, (settings["sh_degree"] + 1) ** 2)) if name == "sh" else ()
        tensors = [group[index].double() for group in (state.gaussians, state.exp_avgs, state.exp_avg_sqs)]
        options = {"rate": rate_of(name, tensors[0]), "step": number, "eps": EPS}
        if name == "sh":
            tensors = reference_catch_up(*tensors, skipped=skipped, **options)
        moved = reference_adam(tensors[0], gradient, *tensors[1:], **options)
        for group, new in zip((result.gaussians, result.exp_avgs, result.exp_avg_sqs), moved, strict=True):
            group[index] = group[index].double()
            group[index][rows] = new[rows]
    if settings["sh_degree"] >= 0:
        result.last_steps[seen] = number
    return result


def assert_same(ours: Training, truth: Training, before: Training) -> None:
    assert torch.equal(ours.last_steps, truth.last_steps)
    for group in ("gaussians", "exp_avgs", "exp_avg_sqs"):
        for name, a, b, start in zip(PARAMETERS, *(getattr(x, group) for x in (ours, truth, before)), strict=True):
            motion = (b - start.double()).norm()
            assert (a.double() - b).norm() <= TOLERANCE * motion + 1e-6 * b.norm(), f"{group} of {name}"


# Parity


@pytest.mark.parametrize(("views", "model"), [(1, "pinhole"), (3, "pinhole"), (2, "ortho"), (2, "fisheye")])
@pytest.mark.parametrize("number", [1, 30])
def test_a_step_is_the_backward_of_projection_and_then_adam(views: int, model: CameraModel, number: int) -> None:
    world = random_world(150, views=views, model=model)
    settings = world.settings()
    state = training(world, last_step=number - 1)
    truth, before = expected(world, state, number, **settings), state.copy()
    step(world, state, number, **settings)
    assert_same(state, truth, before)


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_a_step_behind_lenses_that_bend(model: CameraModel) -> None:
    coefficients = [[0.03, -0.01, 2e-3, -1e-3]] * 2
    world = dataclasses.replace(random_world(150, model=model), unscented=True, distortion=torch.tensor(coefficients))
    settings = world.settings()
    state = training(world, last_step=4)
    truth, before = expected(world, state, 5, **settings), state.copy()
    step(world, state, 5, **settings)
    assert_same(state, truth, before)


@pytest.mark.parametrize(("stored", "used"), [(0, 0), (1, 1), (2, 2), (4, 4), (3, 0), (3, 1), (3, -1)])
def test_coefficients_above_the_degree_in_use_are_left_alone(stored: int, used: int) -> None:
    world = random_world(150, sh_degree=stored)
    settings = world.settings(sh_degree=used, compensate=True)
    state = training(world, last_step=8)
    truth, before = expected(world, state, 9, **settings), state.copy()
    step(world, state, 9, **settings)
    assert_same(state, truth, before)
    unused = (used + 1) ** 2
    for old, new in ((before.gaussians, state.gaussians), (before.exp_avgs, state.exp_avgs)):
        assert torch.equal(old[4][:, unused:], new[4][:, unused:])


@pytest.mark.parametrize("skipped", [1, 7, 5000])
def test_missed_steps_are_made_up_for(skipped: int) -> None:
    world = random_world(100)
    settings = world.settings()
    state = training(world, last_step=2)
    number = 3 + skipped
    truth, before = expected(world, state, number, **settings), state.copy()
    step(world, state, number, **settings)
    assert_same(state, truth, before)


# What the pause stands for


@pytest.mark.backends("cpu")
@pytest.mark.parametrize("skipped", [1, 3, 40])
def test_a_pause_is_steps_without_a_gradient(skipped: int) -> None:
    """To a thousandth late in a run; in the beginning the moments' corrections still change from step to step."""
    generator = torch.Generator().manual_seed(0)
    param, exp_avg = (torch.randn(50, generator=generator, dtype=torch.float64) for _ in range(2))
    exp_avg_sq = exp_avg.square() + 0.1
    for first, tolerance in ((5000, 1e-3), (20, 0.4)):
        one_by_one = (param, exp_avg, exp_avg_sq)
        for number in range(first, first + skipped):
            one_by_one = reference_adam(one_by_one[0], torch.zeros(50), *one_by_one[1:], rate=0.1, step=number)
        at_once = reference_catch_up(param, exp_avg, exp_avg_sq, skipped=skipped, rate=0.1, step=first + skipped)
        for a, b, start in zip(at_once, one_by_one, (param, exp_avg, exp_avg_sq), strict=True):
            assert (a - b).norm() <= tolerance * (b - start).norm()


def test_coefficients_of_what_no_camera_sees_keep_every_bit() -> None:
    world = random_world(200, views=1)
    settings = world.settings()
    state = training(world, last_step=4)
    before = state.copy()
    step(world, state, 9, **settings)
    hidden = state.last_steps == 4
    assert 0 < hidden.count_nonzero() < 200
    assert (state.last_steps[~hidden] == 9).all()
    for old, new in zip(before.lists(), state.lists(), strict=True):
        assert torch.equal(old[4][hidden], new[4][hidden])
        assert not torch.equal(old[4][~hidden], new[4][~hidden])


def test_a_step_of_smoothed_gaussians_moves_what_is_behind_the_filter() -> None:
    world = random_world(150)
    filters = 0.1 * rand(150, generator=torch.Generator().manual_seed(1))
    settings = {**world.settings(), "filters": filters}
    state = training(world, last_step=4)
    truth, before = expected(world, state, 5, **settings), state.copy()
    step(world, state, 5, **settings)
    assert_same(state, truth, before)


# opcheck, laws, edges


@pytest.mark.slow
def test_opcheck() -> None:
    world = random_world(20)
    state, settings = training(world, last_step=0), world.settings()
    projection, cotangents = projected(world, **settings)
    tensors = (state.gaussians, state.exp_avgs, state.exp_avg_sqs, state.last_steps, world.viewmats, world.Ks)
    seen = (projection.extents, projection.colours, *(x for i, x in enumerate(cotangents) if i != 4))
    torch.library.opcheck(
        torch.ops.splat.project_adam.default,
        (*tensors, None, None, world.width, world.height, *settings.values(), *seen, RATES, 1, 0.9, 0.999, 1e-15),
    )


@pytest.mark.backends("cpu")
def test_the_same_bits_for_any_number_of_threads() -> None:
    world = random_world(1000)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            state = training(world, last_step=3)
            step(world, state, 9, **world.settings())
            results.append(state.tensors())
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_no_gaussians_and_no_cameras() -> None:
    for world in (random_world(0), random_world(5, views=0)):
        state = training(world, last_step=0)
        truth, before = expected(world, state, 1, **world.settings()), state.copy()
        step(world, state, 1, **world.settings())
        assert_same(state, truth, before)


def test_autograd_notices_the_change() -> None:
    world = random_world(20)
    state = training(world, last_step=0)
    means = state.gaussians[0].requires_grad_()
    loss = (means * means).sum()
    step(world, state, 1, **world.settings())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_mistakes_are_named() -> None:
    world = random_world(20)
    settings = world.settings()
    projection, cotangents = projected(world, **settings)
    good = training(world, last_step=0)

    def run(**changes) -> None:
        arguments: dict = {
            "gaussians": good.gaussians, "exp_avgs": good.exp_avgs, "exp_avg_sqs": good.exp_avg_sqs,
            "last_steps": good.last_steps, "viewmats": world.viewmats, "Ks": world.Ks, "width": world.width,
            "height": world.height, "projection": projection, "cotangents": cotangents, "rates": RATES, "step": 1,
        }  # fmt: skip
        project_adam(**{**arguments, **settings, **changes})

    run()
    with pytest.raises(ValueError, match="exp_avgs must be means, quats, log_scales, opacity_logits, sh, got 4"):
        run(exp_avgs=good.exp_avgs[:4])
    with pytest.raises(ValueError, match=r"exp_avg_sqs\[4\] must be \[20, 16, 3\]"):
        run(exp_avg_sqs=[*good.exp_avg_sqs[:4], torch.zeros(20, 4, 3)])
    with pytest.raises(ValueError, match="last_steps must be"):
        run(last_steps=torch.zeros(3, dtype=torch.int32))
    with pytest.raises(RuntimeError, match="last_steps must be Int"):
        run(last_steps=torch.zeros(20))
    with pytest.raises(RuntimeError, match="gaussians must be contiguous"):
        run(gaussians=[torch.zeros(3, 20).T, *good.gaussians[1:]])
    with pytest.raises(ValueError, match="betas must be in"):
        run(beta1=0.9, beta2=0.5)
    with pytest.raises(ValueError, match="step must be > 0"):
        run(step=0)
    with pytest.raises(ValueError, match="rates must be those of means, .*, sh_rest, got 1"):
        run(rates=[0.1])
