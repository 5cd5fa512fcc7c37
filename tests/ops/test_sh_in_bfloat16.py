"""SH coefficients and their moments in 16 bits: as the kernels compute them in float32, and as the reference rounds."""

from __future__ import annotations

import pytest
import torch
from backends import rand, randn
from torch import Tensor
from worlds import World, random_world

from splat.ops.project import Projection, project
from splat.ops.project_adam import PARAMETERS, project_adam
from splat.reference.rounding import OF_MOMENT, random_numbers, round_at_random

RATES = [0.01, 0.02, 0.03, 0.04, 0.05, 0.002]
#: Of numbers that a GPU's compiler may round otherwise in the one kernel than in the other.
DIFFERENT = 1e-3


def coarse_world(count: int, **settings) -> World:
    """A world whose coefficients bfloat16 can hold."""
    world = random_world(count, **settings)
    world.sh = world.sh.bfloat16().float()
    return world


def leaves(world: World, dtype: torch.dtype) -> list[Tensor]:
    """The parameters of `project`, with sh in a dtype."""
    found = [leaf.detach() for leaf in world.leaves()]
    found[4] = found[4].to(dtype)
    return [leaf.requires_grad_() for leaf in found]


# Projection


@pytest.mark.parametrize("model", ["pinhole", "ortho", "fisheye"])
@pytest.mark.parametrize(("stored", "used"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (3, 1), (3, -1)])
def test_projection_is_that_of_the_same_numbers_in_float32(model, stored: int, used: int) -> None:
    world = coarse_world(300, model=model, sh_degree=stored)
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        parameters = leaves(world, dtype)
        outputs = project(*world.arguments(parameters), **world.settings(sh_degree=used))
        generator = torch.Generator().manual_seed(7)
        loss = sum((randn(*x.shape, generator=generator) * x).sum() for x in outputs if x.requires_grad)
        found.append((outputs, torch.autograd.grad(loss, parameters, materialize_grads=True)))  # type: ignore[arg-type]
    (ours, gradients), (truth, true_gradients) = found
    assert 100 < (ours.extents[..., 0] > 0).sum() < 550
    assert all(torch.equal(a, b) for a, b in zip(ours, truth, strict=True))
    assert [x.dtype for x in gradients] == [torch.float32] * 4 + [torch.bfloat16, torch.float32]
    assert all(torch.equal(a, b.to(a.dtype)) for a, b in zip(gradients, true_gradients, strict=True))


# Training


def state_of(world: World, dtype: torch.dtype) -> list[list[Tensor]]:
    """Parameters and both moments, sh and its own in a dtype."""
    generator = torch.Generator().manual_seed(3)
    params = [getattr(world, name).clone() for name in PARAMETERS]
    state = [params, [randn(*x.shape, generator=generator) for x in params]]
    state.append([rand(*x.shape, generator=generator) for x in params])
    for tensors in state:
        tensors[4] = tensors[4].bfloat16().to(dtype)
    return state


def views(world: World, **settings) -> tuple[Projection, Projection]:
    with torch.no_grad():
        projection = project(*world.arguments(world.leaves()), **settings)
    generator = torch.Generator().manual_seed(7)
    return projection, Projection(*(randn(*x.shape, generator=generator) for x in projection))


def step(world: World, state: list[list[Tensor]], last_steps: Tensor, number: int, **options) -> None:
    settings = world.settings(sh_degree=options.pop("sh_degree", 3))
    projection, cotangents = views(world, **settings)
    project_adam(
        state[0], state[1], state[2], last_steps, world.viewmats, world.Ks, world.width, world.height,
        projection=projection, cotangents=cotangents, step=number, **{"rates": RATES, **settings, **options},
    )  # fmt: skip


@pytest.mark.parametrize("skipped", [0, 7])
@pytest.mark.parametrize(("stored", "used"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (3, 1)])
def test_a_step_is_one_in_float32_and_then_the_references_rounding(stored: int, used: int, skipped: int) -> None:
    world = coarse_world(300, sh_degree=stored)
    number = 3 + skipped
    ours, truth = state_of(world, torch.bfloat16), state_of(world, torch.float32)
    before = [tensors[4].clone() for tensors in ours]
    for state in (ours, truth):
        last_steps = torch.full((300,), 2, dtype=torch.int32)
        step(world, state, last_steps, number, sh_degree=used)
    seen, numbers = last_steps == number, 3 * (used + 1) ** 2
    assert 50 < seen.count_nonzero() < 300
    random = random_numbers(number, 300, numbers)
    for place, (tensors, exact, start) in enumerate(zip(ours, truth, before, strict=True)):
        assert all(torch.equal(a, b) for a, b in zip(tensors[:4], exact[:4], strict=True))
        found, wanted = tensors[4].flatten(1), start.flatten(1).clone()
        rounded = round_at_random(exact[4].flatten(1)[:, :numbers], random + place * OF_MOMENT)
        wanted[seen, :numbers] = rounded[seen]
        assert (found != wanted).count_nonzero() <= DIFFERENT * found.numel()
        assert not torch.equal(found, start.flatten(1))


@pytest.mark.slow_on_host
def test_many_small_steps_go_as_far_as_in_float32() -> None:
    """Each is a hundredth of what the nearest bfloat16 is away, so that rounding to it would make none of them."""
    world = coarse_world(300)
    world.sh = torch.ones(300, 16, 3)
    moved = {}
    for dtype in (torch.bfloat16, torch.float32):
        state, last_steps = state_of(world, dtype), torch.zeros(300, dtype=torch.int32)
        state[1][4].zero_()
        state[2][4].fill_(1.0)
        for number in range(1, 201):
            step(world, state, last_steps, number, rates=[0.0] * 4 + [1e-4] * 2)
        seen = last_steps > 0
        moved[dtype] = [(x[4].float() - start)[seen] for x, start in zip(state, (1.0, 0.0, 1.0), strict=True)]
    for name, ours, truth in zip(("sh", "exp_avg", "exp_avg_sq"), *moved.values(), strict=True):
        assert ours.std() > 0, name
        # By the sign of the motion: an average over all would say little of numbers that go both ways.
        for sign in (-1, 1):
            there = sign * truth > 0.5 * truth.abs().mean()
            if there.any():
                assert ours[there].mean() == pytest.approx(truth[there].mean().item(), rel=0.05), name


@pytest.mark.backends("cpu")
def test_the_same_bits_for_any_number_of_threads() -> None:
    world = coarse_world(1000)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            state = state_of(world, torch.bfloat16)
            step(world, state, torch.zeros(1000, dtype=torch.int32), 9)
            results.append([tensors[4] for tensors in state])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


# The reference's rounding


@pytest.mark.backends("cpu")
def test_rounding_takes_a_neighbour_and_is_right_on_average() -> None:
    numbers = torch.tensor([1.0, 1.002, -1.002, 3e-39, -0.1, 7e-20, 1e30, 0.0])
    random = torch.arange(1 << 16)[:, None] << 16
    rounded = round_at_random(numbers.expand(1 << 16, -1), random.expand(-1, len(numbers))).double()
    torch.testing.assert_close(rounded.mean(0), numbers.double(), rtol=1e-12, atol=0)
    for column, number in zip(rounded.unbind(1), numbers, strict=True):
        values = column.unique()
        assert len(values) <= 2 and values.min() <= number <= values.max()
    special = torch.tensor([torch.inf, -torch.inf])
    assert torch.equal(round_at_random(special, torch.tensor([0xFFFFFFFF] * 2)).float(), special)
    nan = torch.tensor([0x7FFFFFFF, -1], dtype=torch.int32).view(torch.float32)
    assert round_at_random(nan, torch.tensor([0xFFFFFFFF] * 2)).isnan().all()


@pytest.mark.backends("cpu")
def test_random_numbers_are_spread_evenly_over_steps_and_rows() -> None:
    shares = torch.stack([random_numbers(number, 1000, 48) for number in range(1, 51)]) / 2.0**32
    counts = torch.histc(shares.float(), 16, 0, 1)
    assert (counts / counts.mean() - 1).abs().max() < 0.01
    for neighbours in (shares[1:] - shares[:-1], shares[:, 1:] - shares[:, :-1]):
        counts = torch.histc((neighbours % 1).float(), 16, 0, 1)
        assert (counts / counts.mean() - 1).abs().max() < 0.05


# Mistakes


def test_mistakes_are_named() -> None:
    world = coarse_world(20)
    state = state_of(world, torch.bfloat16)
    last_steps = torch.zeros(20, dtype=torch.int32)
    full = state_of(world, torch.float32)
    with pytest.raises(RuntimeError, match="exp_avgs must be BFloat16, got Float"):
        step(world, [state[0], full[1], state[2]], last_steps, 1)
    with pytest.raises(RuntimeError, match="exp_avg_sqs must be Float, got BFloat16"):
        step(world, [full[0], full[1], state[2]], last_steps, 1)
    parameters = leaves(world, torch.float16)
    with pytest.raises(TypeError, match=r"sh must be torch.float32 like means, got torch.float16"):
        project(*world.arguments(parameters), **world.settings())
