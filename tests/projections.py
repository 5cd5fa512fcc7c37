"""What tests of the projection share: the op and its reference on a `World`, and what is compared of them."""

from __future__ import annotations

import dataclasses
import math

import torch
from backends import randn
from torch import Tensor
from worlds import PARAMETERS, World, four_gaussians

from splat.ops.project import Projection, project
from splat.reference.project import project as reference_project

# Relative to the largest entry (values) and to the norm (gradients): float32 rounding of some hundred operations.
VALUE_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
BIG = 3e38
POISON = (math.nan, math.inf, -math.inf)


def reference(*arguments, **settings) -> Projection:
    return Projection(*reference_project(*arguments, **settings))


@torch.no_grad()
def values(world: World, **settings) -> Projection:
    return project(*world.arguments(world.leaves()), **settings)


def weighted(projection: Projection) -> Tensor:
    """A loss in which every differentiable number has a weight of its own."""
    generator = torch.Generator().manual_seed(7)
    total = projection.depths.new_zeros(())
    for name, value in projection._asdict().items():
        weights = randn(*value.shape, generator=generator)
        total = total if name == "extents" else total + (weights.to(value.dtype) * value).sum()
    return total


def gradients(function, world: World, dtype: torch.dtype, **settings) -> dict[str, Tensor]:
    leaves = world.leaves(dtype)
    loss = weighted(function(*world.arguments(leaves), **settings))
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    pairs = zip(PARAMETERS, leaves, found, strict=True)
    return {name: torch.zeros_like(leaf) if value is None else value for name, leaf, value in pairs}


def assert_same_values(ours: Projection, truth: Projection, tolerance: float = VALUE_TOLERANCE) -> None:
    assert torch.equal(ours.extents[..., 0] > 0, truth.extents[..., 0] > 0)
    for name, expected in truth._asdict().items():
        error = (getattr(ours, name).double() - expected.double()).abs()
        assert not error.numel() or error.max() <= tolerance * expected.abs().max(), name


def assert_same_gradients(ours: dict[str, Tensor], truth: dict[str, Tensor]) -> None:
    for name, expected in truth.items():
        error = (ours[name].double() - expected.double()).norm()
        assert error <= GRADIENT_TOLERANCE * expected.norm() + 1e-12, name


def filters_for(world: World) -> Tensor:
    """Some far below the Gaussians' own scales, some above."""
    return 0.08 * randn(len(world.means), generator=torch.Generator().manual_seed(5)).exp()


def op_arguments(world: World, leaves: list[Tensor], **settings) -> tuple:
    *tensors, width, height = world.arguments(leaves)
    return *tensors, None, None, width, height, *world.settings(**settings).values()


def edge_world() -> World:
    """Gaussians each of which has one thing that is out of the ordinary; those of `four_gaussians` around them."""
    world = four_gaussians()
    rows: list[tuple[str, float | tuple[float, ...]]] = []
    rows += [("means", (0.0, 0.0, z)) for z in (-1.0, 0.0, 0.05, 50.0, 1e30)]
    rows += [("means", (x, 0.0, 2.0)) for x in (1e6, 1e30, BIG)]
    rows += [("log_scales", scale) for scale in (-60.0, -math.inf, 3.0, 30.0, 60.0, BIG)]
    rows += [("log_scales", (5.0, -10.0, -10.0)), ("log_scales", (1.5, 1.5, 1.5))]
    rows += [("opacity_logits", logit) for logit in (-100.0, -5.6, 20.0, 200.0, math.inf, -math.inf)]
    rows += [("quats", length) for length in (0.0, 1e-20, 1e-4, 1e30)]
    rows += [("sh", value) for value in (1e30, -1e30)]
    rows += [(name, value) for name in PARAMETERS[:-1] for value in POISON]
    picked = {name: getattr(world, name)[torch.zeros(len(rows), dtype=torch.long)] for name in PARAMETERS[:-1]}
    for i, (name, value) in enumerate(rows):
        picked[name][i] = torch.tensor(value)
    joined = {name: torch.cat([getattr(world, name), values, getattr(world, name)]) for name, values in picked.items()}
    return dataclasses.replace(world, **joined)
