"""The projection: kernel against reference, published vectors, gradients, laws, edges."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from projections import (
    POISON,
    assert_same_gradients,
    assert_same_values,
    edge_world,
    filters_for,
    gradients,
    op_arguments,
    reference,
    values,
)
from torch import Tensor
from worlds import PARAMETERS, World, four_gaussians, random_world

from splat.cameras import CAMERA_MODELS
from splat.ops.project import project
from splat.reference.project import camera_function as reference_camera
from splat.reference.project import rotation_matrices
from splat.reference.sh import sh_basis

# Published vectors: training.md, appendix A.


def vector_world(mean: tuple[float, float, float]) -> World:
    return World(
        means=torch.tensor([mean], dtype=torch.float64),
        quats=torch.tensor([[0.9, 0.1, -0.2, 0.3]], dtype=torch.float64),
        log_scales=torch.tensor([[0.05, 0.10, 0.02]], dtype=torch.float64).log(),
        opacity_logits=torch.tensor([0.8], dtype=torch.float64).logit(),
        sh=torch.zeros(1, 1, 3, dtype=torch.float64),
        viewmats=torch.eye(4, dtype=torch.float64)[None],
        Ks=torch.tensor([[[500.0, 0, 320], [0, 480, 240], [0, 0, 1]]], dtype=torch.float64),
        width=640,
        height=480,
    )


@pytest.mark.parametrize(("function", "dtype"), [(reference, torch.float64), (project, torch.float32)])
@pytest.mark.parametrize("v_rho", [0.0, 3.0])
def test_vectors_of_projection(function, dtype: torch.dtype, v_rho: float) -> None:
    world = vector_world((0.3, -0.2, 4.0))
    leaves = world.leaves(dtype)
    settings = world.settings(sh_degree=-1, compensate=v_rho > 0)
    found = function(*world.arguments(leaves), **settings)
    close = {"rtol": 1e-5 if dtype == torch.float32 else 1e-7, "atol": 0}
    rho = 0.9941832663 if v_rho else 1.0

    def vector(*values: float) -> Tensor:
        return torch.tensor(values, dtype=dtype)

    torch.testing.assert_close(found.means2d[0, 0], vector(357.5, 216.0), **close)
    torch.testing.assert_close(found.conics[0, 0], vector(0.021811456, 0.012458528, 0.016918125), rtol=3e-5, atol=0)
    torch.testing.assert_close(found.opacities[0, 0], vector(0.8 * rho)[0], **close)
    if not v_rho:
        torch.testing.assert_close(found.extents[0, 0], vector(29.01164726, 32.94113818), **close)

    upstream = (found.means2d[0, 0] * vector(1, -2)).sum() + (found.conics[0, 0] * vector(10, -20, 30)).sum()
    upstream = upstream + 0.5 * found.depths[0, 0] + v_rho / 0.8 * found.opacities[0, 0]
    v_means, v_quats, v_log_scales, v_viewmats = torch.autograd.grad(upstream, [leaves[i] for i in (0, 1, 2, 5)])
    expected = {
        0.0: [
            (125.036242003, -239.950084792, -20.638463868),
            (-0.352546095, 0.411760127, -0.345038008, 0.690359571),
            (-0.494220949, -0.431046583, -0.021766557),
        ],
        3.0: [
            (125.034055354, -239.951927162, -20.647055455),
            (-0.346941105, 0.403765954, -0.321931031, 0.691613976),
            (-0.466775441, -0.425072231, -0.020532545),
        ],
    }[v_rho]
    for value, numbers in zip((v_means, v_quats, v_log_scales), expected, strict=True):
        torch.testing.assert_close(value[0], vector(*numbers), rtol=2e-5, atol=1e-8)
    if not v_rho:
        rotation = [[37.315328872, -25.321878647, 500], [-71.91218785, 47.237637039, -960]]
        rotation += [[-6.173231501, 4.113671046, -82.552965911]]
        torch.testing.assert_close(v_viewmats[0, :3, :3], torch.tensor(rotation, dtype=dtype), rtol=2e-5, atol=1e-8)
        torch.testing.assert_close(v_viewmats[0, :3, 3], v_means[0], rtol=1e-6, atol=0)
        assert not v_viewmats[0, 3].any()


@pytest.mark.backends("cpu")
def test_vectors_of_a_held_slope() -> None:
    # The vector's splat is off the image, where projection culls, so this is the reference's camera and covariance.
    world = vector_world((4.2, -0.2, 4.0))
    means, quats, log_scales, *_ = leaves = world.leaves(torch.float64)
    mean2d, jacobian = reference_camera("pinhole")(means, world.Ks, 640, 480)
    torch.testing.assert_close(mean2d, torch.tensor([[845.0, 216.0]], dtype=torch.float64))
    expected = torch.tensor([[[125.0, 0, -104], [0, 120, 6]]], dtype=torch.float64)
    torch.testing.assert_close(jacobian, expected)
    axes = jacobian @ rotation_matrices(quats) * log_scales.exp()[:, None, :]
    conic = torch.linalg.inv(axes @ axes.transpose(1, 2) + 0.3 * torch.eye(2, dtype=torch.float64))[0]
    loss = mean2d[0, 0] - 2 * mean2d[0, 1] + 10 * conic[0, 0] - 20 * conic[0, 1] + 30 * conic[1, 1] + 0.5 * means[0, 2]
    found = torch.autograd.grad(loss, leaves[:3])
    vectors = [
        (125, -239.945259485, -142.448317416),
        (-0.664444517, 1.280142026, -1.154399679, 0.797019757),
        (-0.619399927, -0.371061491, -0.205320816),
    ]
    for value, numbers in zip(found, vectors, strict=True):
        torch.testing.assert_close(value[0], torch.tensor(numbers, dtype=torch.float64), rtol=1e-7, atol=1e-8)


@pytest.mark.backends("cpu")
def test_vectors_of_sh_basis() -> None:
    direction = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64) / math.sqrt(14)
    expected = """0.282094792 -0.261169028 0.391753542 -0.130584514 0.156078347 -0.468235042 0.292863596 -0.234117521
        -0.117058760 0.022527969 0.331092173 -0.540952781 0.064115724 -0.270476391 -0.248319130 0.123903829
        -0.076632947 0.054187677 0.473087348 -0.430101349 -0.192680818 -0.215050675 -0.354815511 0.298032221
        -0.022351276"""
    numbers = torch.tensor([float(word) for word in expected.split()], dtype=torch.float64)
    torch.testing.assert_close(sh_basis(direction, 4)[0], numbers, rtol=0, atol=1e-9)


# Parity with the reference.


@pytest.mark.parametrize("model", CAMERA_MODELS)
@pytest.mark.parametrize("compensate", [False, True])
@pytest.mark.parametrize("sh_degree", [-1, 0, 1, 2, 3, 4])
def test_kernel_is_the_reference(model, compensate: bool, sh_degree: int) -> None:
    world = random_world(300, model=model, sh_degree=4, seed=sh_degree + 1)
    settings = world.settings(sh_degree=sh_degree, compensate=compensate)
    ours = values(world, **settings)
    truth = reference(*world.arguments(world.leaves(torch.float64)), **settings)
    assert 100 < (ours.extents[..., 0] > 0).sum() < 550  # visible ones and culled ones
    assert_same_values(ours, truth)
    assert_same_gradients(
        gradients(project, world, torch.float32, **settings), gradients(reference, world, torch.float64, **settings)
    )


@pytest.mark.parametrize("model", CAMERA_MODELS)
def test_huge_gaussians_around_the_border(model) -> None:
    # Many of these have their centre so far outside that the pinhole Jacobian's slope is held.
    world = random_world(300, model=model, size=0.8, seed=11)
    settings = world.settings()
    ours, truth = (
        function(*world.arguments(world.leaves(dtype)), **settings)
        for function, dtype in ((project, torch.float32), (reference, torch.float64))
    )
    beyond = (truth.means2d[..., 0] - world.width / 2).abs() > 0.66 * world.width
    assert (beyond & (truth.extents[..., 0] > 0)).sum() > 20
    assert_same_values(ours, truth)
    assert_same_gradients(
        gradients(project, world, torch.float32, **settings), gradients(reference, world, torch.float64, **settings)
    )


@pytest.mark.backends("cpu")
@pytest.mark.parametrize("model", CAMERA_MODELS)
@pytest.mark.parametrize("compensate", [False, True])
def test_reference_gradients_are_its_differences(model, compensate: bool) -> None:
    world = four_gaussians(model)
    settings = world.settings(sh_degree=4, compensate=compensate)

    def differentiable(*leaves: Tensor) -> tuple[Tensor, ...]:
        found = reference(*world.arguments(list(leaves)), **settings)
        assert (found.extents > 0).all()
        return tuple(value for name, value in found._asdict().items() if name != "extents")

    assert torch.autograd.gradcheck(differentiable, world.leaves(torch.float64), fast_mode=True)


# Smoothing filters.


@pytest.mark.parametrize("model", CAMERA_MODELS)
@pytest.mark.parametrize("compensate", [False, True])
def test_kernel_is_the_reference_with_smoothing_filters(model, compensate: bool) -> None:
    world = random_world(300, model=model, seed=3)
    settings, filters = world.settings(compensate=compensate), filters_for(world)
    ours = values(world, **settings, filters=filters)
    truth = reference(*world.arguments(world.leaves(torch.float64)), **settings, filters=filters.double())
    assert (ours.extents[..., 0] > 0).sum() > 100
    assert_same_values(ours, truth)
    assert_same_gradients(
        gradients(project, world, torch.float32, **settings, filters=filters),
        gradients(reference, world, torch.float64, **settings, filters=filters.double()),
    )


@pytest.mark.backends("cpu")
def test_reference_gradients_with_smoothing_filters_are_its_differences() -> None:
    world = four_gaussians("pinhole")
    filters = filters_for(world).double()

    def differentiable(*leaves: Tensor) -> tuple[Tensor, ...]:
        found = reference(*world.arguments(list(leaves)), **world.settings(sh_degree=4), filters=filters)
        assert (found.extents > 0).all()
        return tuple(value for name, value in found._asdict().items() if name != "extents")

    assert torch.autograd.gradcheck(differentiable, world.leaves(torch.float64), fast_mode=True)


def test_a_smoothed_gaussian_has_the_filters_variance_more_and_the_same_mass() -> None:
    world = random_world(200)
    filters = filters_for(world)
    variances = (2 * world.log_scales.double()).exp()
    smoothed = variances + filters.double().square()[:, None]
    opacities = world.opacity_logits.double().sigmoid() * (variances / smoothed).prod(1).sqrt()
    other = dataclasses.replace(
        world, log_scales=(0.5 * smoothed.log()).float(), opacity_logits=opacities.logit().float()
    )
    ours, truth = values(world, **world.settings(), filters=filters), values(other, **world.settings())
    # The mass of a Gaussian is its opacity times the root of its covariance's determinant.
    torch.testing.assert_close(
        opacities * smoothed.prod(1).sqrt(), world.opacity_logits.double().sigmoid() * variances.prod(1).sqrt()
    )
    for name, expected in truth._asdict().items():
        error = (getattr(ours, name) - expected).abs()
        assert error.max() <= 3e-5 * expected.abs().max(), name


def test_filters_of_no_size_change_next_to_nothing() -> None:
    world = random_world(100)
    none = values(world, **world.settings())
    for name, value in values(world, **world.settings(), filters=torch.zeros(100))._asdict().items():
        torch.testing.assert_close(value, getattr(none, name), rtol=1e-5, atol=1e-5)


def test_a_filter_for_each_gaussian_is_asked_for() -> None:
    world = random_world(10)
    with pytest.raises(ValueError, match="filters"):
        values(world, **world.settings(), filters=torch.zeros(9))


# The operator's registration.


@pytest.mark.parametrize("count", [0, 5])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.slow
def test_opcheck(count: int, requires_grad: bool) -> None:
    world = random_world(count, sh_degree=1)
    leaves = [leaf.requires_grad_(requires_grad) for leaf in world.leaves()]
    torch.library.opcheck(torch.ops.splat.project.default, op_arguments(world, leaves, sh_degree=1))


@pytest.mark.slow
def test_opcheck_of_backward() -> None:
    world = random_world(5, sh_degree=1)
    arguments = op_arguments(world, [leaf.detach() for leaf in world.leaves()], sh_degree=1)
    *outputs, extents, colours = torch.ops.splat.project.default(*arguments)
    cotangents = [torch.randn_like(value) for value in (*outputs, colours)]
    for needs_viewmats in (False, True):
        everything = (*arguments, extents, colours, *cotangents, needs_viewmats)
        torch.library.opcheck(torch.ops.splat.project_backward.default, everything)


def test_inputs_of_any_layout() -> None:
    world = random_world(50)
    arguments = op_arguments(world, [leaf.detach() for leaf in world.leaves()])
    strided = [x.mT.contiguous().mT if isinstance(x, Tensor) and x.dim() > 1 else x for x in arguments]
    assert not strided[0].is_contiguous()
    for ours, expected in zip(
        torch.ops.splat.project.default(*strided), torch.ops.splat.project.default(*arguments), strict=True
    ):
        assert torch.equal(ours, expected)


# Laws.


@pytest.mark.backends("cpu")
def test_any_number_of_threads_gives_the_same_bits() -> None:
    world = random_world(5000, views=3)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found = values(world, **world.settings())
            results.append([*found, *gradients(project, world, torch.float32, **world.settings()).values()])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@settings(max_examples=30)
@given(length=st.floats(1e-3, 1e6), seed=st.integers(0, 1000))
def test_length_of_quaternions_means_nothing(length: float, seed: int) -> None:
    world = random_world(20, seed=seed)
    longer = dataclasses.replace(world, quats=world.quats * length)
    ours, other = (values(w, **w.settings()) for w in (world, longer))
    for a, b in zip(ours, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * a.abs().max().item())


@settings(max_examples=30)
@given(seed=st.integers(0, 1000))
def test_order_means_nothing(seed: int) -> None:
    world = random_world(40, seed=seed)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed), device="cpu")
    per_gaussian = {name: getattr(world, name)[order] for name in PARAMETERS if name != "viewmats"}
    shuffled = dataclasses.replace(world, **per_gaussian)
    ours, other = (values(w, **w.settings()) for w in (world, shuffled))
    assert all(torch.equal(a[:, order], b) for a, b in zip(ours, other, strict=True))


def test_each_camera_is_on_its_own() -> None:
    world = random_world(100, views=3)
    together = values(world, **world.settings())
    for i in range(3):
        alone = dataclasses.replace(world, viewmats=world.viewmats[i : i + 1], Ks=world.Ks[i : i + 1])
        single = values(alone, **alone.settings())
        assert all(torch.equal(a[i : i + 1], b) for a, b in zip(together, single, strict=True))


# Edges.


@pytest.mark.parametrize("model", CAMERA_MODELS)
@pytest.mark.parametrize("compensate", [False, True])
def test_edges_are_those_of_the_reference_and_harm_nobody(model, compensate: bool) -> None:
    world = dataclasses.replace(edge_world(), model=model)
    settings = world.settings(compensate=compensate)
    ours = values(world, **settings)
    truth = reference(*world.arguments(world.leaves()), **settings)
    assert all(value.isfinite().all() for value in ours)
    assert_same_values(ours, truth)
    visible = ours.extents[..., 0] > 0
    for value in ours:
        assert not value[~visible].any()

    # The ordinary ones at both ends have the gradients they have without company.
    found = gradients(
        lambda *a, **k: project(*a, **k)._replace(colours=torch.zeros(0)), world, torch.float32, **settings
    )
    unseen = ~visible.any(dim=0)
    for name in PARAMETERS[:-1]:
        assert not found[name][unseen].any()
        assert found[name][:4].isfinite().all() and found[name][-4:].isfinite().all()


@settings(max_examples=30)
@given(
    name=st.sampled_from(PARAMETERS[:-1]),
    poison=st.sampled_from(POISON),
    row=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_poison_is_culled(name: str, poison: float, row: int, seed: int) -> None:
    world = four_gaussians()
    place = seed % getattr(world, name)[row].numel()
    poisoned = dataclasses.replace(world, **{name: getattr(world, name).clone()})
    getattr(poisoned, name)[row].view(-1)[place] = poison
    settings = world.settings(sh_degree=4)
    clean, found = (values(w, **settings) for w in (world, poisoned))
    harmless = (name, poison) in (("log_scales", -math.inf), ("opacity_logits", math.inf))
    others = torch.arange(4) != row
    for a, b in zip(clean, found, strict=True):
        assert torch.equal(a[:, others], b[:, others])
        assert harmless or not b[:, row].any()
    for gradient in gradients(project, poisoned, torch.float32, **settings).values():
        assert gradient.isfinite().all()


def test_no_gaussians_and_no_cameras() -> None:
    for count, views in ((0, 2), (3, 0)):
        world = random_world(count, views=views)
        ours = values(world, **world.settings())
        assert [tuple(value.shape) for value in ours] == [
            (views, count, *rest) for rest in ((2,), (), (3,), (), (2,), (3,))
        ]
        found = gradients(project, world, torch.float32, **world.settings())
        assert not any(value.any() for value in found.values())


def test_one_gaussian_over_the_whole_image() -> None:
    world = random_world(1, views=1)
    world.means[0], world.log_scales[0], world.opacity_logits[0] = torch.tensor([0.0, 0.0, 3.0]), 2.0, 9.0
    ours = values(world, **world.settings())
    assert (ours.extents[0, 0] > torch.tensor([world.width, world.height])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": torch.zeros(3, 2)}, r"means must be \[N, 3\], got \[3, 2\]"),
        ({"quats": torch.zeros(4, 4)}, r"quats must be \[N, 4\] with N = 3, got \[4, 4\]"),
        ({"sh": torch.zeros(3, 5, 3)}, "1, 4, 9, 16 or 25"),
        ({"means": torch.zeros(3, 3, dtype=torch.float64)}, "quats must be torch.float64 like means"),
        ({"near": 0.0}, "near must be > 0, got 0.0"),
        ({"sh_degree": 4}, "sh_degree .* got degree 4 and 16 coefficients"),
        ({"camera_model": 3}, "camera_model must be 0, 1 or 2, got 3"),
        ({"eps2d": -1.0}, "eps2d must be >= 0"),
    ],
)
def test_mistakes_are_named(change: dict, message: str) -> None:
    world = random_world(3)
    tensors = {name: value for name, value in change.items() if isinstance(value, Tensor)}
    world = dataclasses.replace(world, **tensors)
    settings = world.settings() | {name: value for name, value in change.items() if name not in tensors}
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        project(*world.arguments([getattr(world, name) for name in PARAMETERS]), **settings)
