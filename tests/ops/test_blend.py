"""Alpha blending: the published vector, parity, gradients, opcheck, laws, edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from backends import randn
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Flat, four_splats, is_smooth, random_flat
from torch import Tensor

from splat.ops.blend import Blended, blend
from splat.ops.tiles import TileLists
from splat.reference.blend import blend as reference_blend
from splat.reference.constants import ALPHA_MIN

#: Sums of some hundred float32 terms of size one, against float64.
IMAGE = 1e-5
#: Norm-relative, on pixels where no decision is close.
GRADIENT = 1e-4
NAMES = ("means2d", "conics", "opacities", "colours", "background")


def run(scene: Flat, leaves: Sequence[Any] | None = None, lists: TileLists | None = None, **options) -> Blended:
    """`blend` of a scene, or of other values in the order of `Flat.leaves` (background may be None)."""
    means2d, conics, opacities, colours, background = scene.leaves() if leaves is None else leaves
    lists = scene.lists() if lists is None else lists
    return blend(means2d, conics, opacities, colours, background, lists, scene.width, scene.height, **options)


def run_reference(scene: Flat, leaves: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    means2d, conics, opacities, colours, background = leaves
    depths = scene.depths.to(means2d).expand(len(means2d), -1)
    return reference_blend(means2d, conics, opacities, colours, background, depths, scene.width, scene.height)


def cotangents(scene: Flat, channels: int, pixels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Random d(loss)/d(image) and d(loss)/d(transmittances), zero outside the given pixels."""
    generator = torch.Generator().manual_seed(9)
    shape = (len(scene.means2d), scene.height, scene.width)
    v_image, v_t = randn(*shape, channels, generator=generator), randn(*shape, generator=generator)
    return (v_image, v_t) if pixels is None else (v_image * pixels[..., None], v_t * pixels)


def gradients(outputs: Sequence[Tensor], leaves: list[Tensor], v: tuple[Tensor, Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(outputs, leaves, [x.to(leaves[0].dtype) for x in v]))


def assert_gradients_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for name, a, b in zip(NAMES, ours, theirs, strict=True):
        error = (a - b).norm() / b.norm()
        assert error <= GRADIENT, f"{name}: relative error {error:.1e}"


# The published vector (three splats over one pixel, values to ten digits)


def published_scene() -> Flat:
    return Flat(
        means2d=torch.tensor([[[10.2, 7.9], [12.0, 9.0], [9.0, 6.0]]]),
        conics=torch.tensor([[[0.05, 0.01, 0.08], [0.02, -0.005, 0.03], [0.1, 0.02, 0.05]]]),
        depths=torch.tensor([[1.0, 2.0, 3.0]]),
        opacities=torch.tensor([[0.8, 0.6, 0.9]]),
        extents=torch.full((1, 3, 2), 50.0),
        colours=torch.tensor([[[0.9, 0.2, 0.1], [0.1, 0.7, 0.3], [0.2, 0.3, 0.8]]]),
        background=torch.tensor([[0.2, 0.5, 0.9]]),
        width=20,
        height=20,
    )


def test_published_pixel_and_gradients():
    scene = published_scene()
    leaves = scene.leaves()
    out = run(scene, leaves)
    pixel, t = out.image[0, 8, 10], out.transmittances[0, 8, 10]
    torch.testing.assert_close(pixel, torch.tensor([0.737171757, 0.278245849, 0.190492155]), atol=1e-6, rtol=0)
    assert abs(t.item() - 0.0320974621) < 1e-7

    # The gradient of alpha = 1 - T is 0.4.
    loss = (pixel * torch.tensor([1.0, -0.5, 2.0])).sum() + 0.4 * (1 - t)
    means2d, conics, opacities, colours, background = torch.autograd.grad(loss, leaves)
    expected_means = [[0.002597818, 0.006308986], [0.004125446, 0.001125122], [0.003397049, 0.002632713]]
    expected_conics = [
        [-0.005566752, -0.022267008, -0.022267008],
        [0.168768261, 0.112512174, 0.018752029],
        [-0.019108402, -0.063694673, -0.053078894],
    ]
    expected_colours = [
        [0.785375327, -0.392687664, 1.570750655],
        [0.125909723, -0.062954862, 0.251819447],
        [0.056617487, -0.028308743, 0.113234974],
    ]
    for ours, theirs in [
        (means2d, expected_means),
        (conics, expected_conics),
        (opacities, [0.154632002, -0.250027053, 0.018872496]),
        (colours, expected_colours),
        (background, t.item() * torch.tensor([1.0, -0.5, 2.0])),
    ]:
        torch.testing.assert_close(ours[0], torch.as_tensor(theirs), atol=5e-7, rtol=1e-5)


# Parity with the reference

SCENES = [
    pytest.param({"count": 200, "width": 64, "height": 48}, marks=pytest.mark.slow_on_host),
    {"count": 100, "cameras": 2, "channels": 4},
    {"count": 80, "channels": 1, "width": 33, "height": 17},
    {"count": 120, "channels": 7},
    {"count": 60, "channels": 3, "size": (0.55, 90.0)},
    # Many opaque layers: most pixels stop early, and alpha is often clamped.
    {"count": 400, "channels": 3, "size": (3.0, 12.0), "opacity": (0.9, 1.0), "width": 40, "height": 40},
    {"count": 300, "channels": 3, "size": (0.55, 1.0), "width": 40, "height": 40},
]


@pytest.mark.parametrize("arguments", SCENES)
def test_image_and_gradients_agree_with_the_reference(arguments):
    scene = random_flat(**arguments)
    smooth = is_smooth(scene)
    assert smooth.float().mean() > 0.8
    leaves, precise = scene.leaves(), scene.leaves(torch.float64)
    ours, theirs = run(scene, leaves, median=True), run_reference(scene, precise)
    image_error, t_error = (ours.image - theirs[0]).abs(), (ours.transmittances - theirs[1]).abs()
    assert image_error[smooth].max() <= IMAGE and t_error[smooth].max() <= IMAGE
    # A close decision taken the other way adds or drops one faint layer, or what lies behind T = 1e-4.
    assert image_error.max() <= 2 * ALPHA_MIN and t_error.max() <= 2 * ALPHA_MIN
    assert (ours.median_ids == theirs[2])[smooth].all()

    v = cotangents(scene, ours.image.shape[-1], smooth)
    assert_gradients_close(gradients(ours[:2], leaves, v), gradients(theirs[:2], precise, v))


def test_gradients_agree_where_decisions_are_close_too():
    scene = random_flat(300, width=48, height=48)
    leaves, precise = scene.leaves(), scene.leaves(torch.float64)
    v = cotangents(scene, 3)
    ours, theirs = run(scene, leaves), run_reference(scene, precise)
    for a, b in zip(gradients(ours[:2], leaves, v), gradients(theirs[:2], precise, v), strict=True):
        assert (a - b).norm() <= 2e-2 * b.norm()


@pytest.mark.backends("cpu")
def test_the_reference_passes_gradcheck():
    scene = four_splats()
    assert is_smooth(scene).all()
    leaves = scene.leaves(torch.float64)
    torch.autograd.gradcheck(lambda *inputs: run_reference(scene, list(inputs))[:2], leaves, fast_mode=True)


def test_a_clamped_alpha_passes_no_gradient_to_its_shape():
    scene = random_flat(1, size=(5000.0, 5000.0), opacity=(1.0, 1.0))
    scene.means2d[:] = torch.tensor([25.0, 18.0])
    leaves = scene.leaves()
    means2d, conics, opacities, colours, _ = gradients(run(scene, leaves)[:2], leaves, cotangents(scene, 3))
    assert not means2d.any() and not conics.any() and not opacities.any() and colours.all()


@pytest.mark.parametrize("channels", [3, 5])
def test_absgrad_is_the_sum_of_absolute_contributions(channels):
    scene = random_flat(15, channels=channels, width=18, height=9)
    probe = torch.zeros_like(scene.means2d, requires_grad=True)
    leaves = scene.leaves()
    smooth = is_smooth(scene)
    v = cotangents(scene, channels, smooth)
    plain = gradients(run(scene, leaves)[:2], leaves, v)
    outputs = run(scene, leaves, absgrad=probe)
    *others, absgrad = torch.autograd.grad(outputs[:2], [*leaves, probe], v)
    assert all(torch.equal(a, b) for a, b in zip(plain, others, strict=True)), "the probe changes no other gradient"

    # Every pixel gets its own copy of the means, as one camera a pixel, so that autograd keeps the pixels apart.
    pixels = scene.width * scene.height
    copies = scene.means2d.double().expand(pixels, -1, -1).clone().requires_grad_()
    repeated = [t.detach().double().expand(pixels, *t.shape[1:]) for t in leaves[1:]]
    image, t, _ = run_reference(scene, [copies, *repeated])
    own = torch.arange(pixels)
    picked = [x.flatten(1, 2)[own, own] for x in (image, t)]
    (each,) = torch.autograd.grad(picked, [copies], [x[0].flatten(0, 1).double() for x in v])
    expected = each.abs().sum(0, keepdim=True)
    assert (absgrad - expected).norm() <= GRADIENT * expected.norm()


# opcheck; a tensor that holds no numbers says that it is on the CPU, whose trail differs from that of CUDA's kernels.


@pytest.mark.slow
@pytest.mark.backends("cpu", "cuda")
def test_opcheck():
    scene = random_flat(12, cameras=2)
    inputs, lists = scene.leaves(), scene.lists()
    probe = torch.zeros_like(scene.means2d, requires_grad=True)
    torch.library.opcheck(torch.ops.splat.blend.default, (*inputs, probe, *lists[:4], 50, 37, True, True))


@pytest.mark.slow
@pytest.mark.backends("cpu", "cuda")
@pytest.mark.parametrize("count", [12, 0])
def test_opcheck_of_other_arguments(count):
    utils = ("test_schema", "test_autograd_registration", "test_faketensor")
    scene = random_flat(count, cameras=2)
    lists, inputs = scene.lists(), [leaf.detach() for leaf in scene.leaves()]
    arguments = (*inputs[:4], None, None, *lists[:4], 50, 37, False, False)
    torch.library.opcheck(torch.ops.splat.blend.default, arguments, test_utils=utils)
    image, t, _, trail = torch.ops.splat.blend.default(*inputs, None, *lists[:4], 50, 37, False, True)
    arguments = (torch.ones_like(image), torch.ones_like(t), *inputs, *lists[:4], image, t, trail, 50, 37, True)
    torch.library.opcheck(torch.ops.splat.blend_backward.default, arguments, test_utils=utils)


# Laws


def test_weights_and_transmittance_sum_to_one():
    scene = random_flat(300, channels=1)
    scene.colours[:] = 1
    out = run(scene, [*scene.leaves()[:4], None])
    torch.testing.assert_close(out.image[..., 0] + out.transmittances, torch.ones(1, 37, 50), atol=2e-6, rtol=0)


def test_background_gradient_is_the_transmittance():
    scene = random_flat(100, cameras=2)
    leaves = scene.leaves()
    v_image, _ = cotangents(scene, 3)
    out = run(scene, leaves)
    (v_background,) = torch.autograd.grad(out.image, leaves[4:], v_image)
    expected = (out.transmittances[..., None].double() * v_image).sum((1, 2))
    assert (v_background - expected).abs().max() <= 1e-6 * expected.abs().max() * 37


@pytest.mark.backends("cpu")
def test_same_bits_for_any_number_of_threads():
    scene = random_flat(3000, cameras=2, width=150, height=90)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        leaves, probe = scene.leaves(), torch.zeros_like(scene.means2d, requires_grad=True)
        out = run(scene, leaves, absgrad=probe, median=True)
        results.append([*out, *torch.autograd.grad(out[:2], [*leaves, probe], cotangents(scene, 3))])
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@given(st.randoms(use_true_random=False), st.integers(1, 40))
@settings(max_examples=20)
@pytest.mark.slow_on_host
def test_the_order_of_the_gaussians_does_not_matter(random, count):
    scene = random_flat(count, seed=random.randrange(10**6))
    permutation = torch.tensor(random.sample(range(count), count))
    leaves, shuffled = scene.leaves(), scene.select(permutation)
    moved = shuffled.leaves()
    ours, theirs = run(scene, leaves), run(shuffled, moved)
    assert torch.equal(ours.image, theirs.image)
    v = cotangents(scene, 3)
    for a, b in zip(gradients(ours[:2], leaves, v)[:4], gradients(theirs[:2], moved, v)[:4], strict=True):
        assert torch.equal(a[:, permutation], b)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 1 / 256]))
@settings(max_examples=20)
def test_a_gaussian_too_faint_to_see_is_as_good_as_none(seed, opacity):
    scene = random_flat(20, seed=seed)
    scene.opacities[:, 7] = opacity
    out = run(scene)
    assert torch.equal(out.image, run(scene.select(torch.arange(20) != 7)).image)


@given(st.integers(0, 10**6), st.integers(-3, 3), st.integers(-3, 3))
@settings(max_examples=20)
def test_moving_everything_by_whole_pixels_moves_the_image(seed, right, down):
    scene = random_flat(40, seed=seed, width=40, height=40)
    # Multiples of 1/64 px move without rounding, and so do the decisions.
    scene.means2d = (scene.means2d * 64).round() / 64
    still = run(scene)
    scene.means2d = scene.means2d + torch.tensor([float(right), float(down)])
    moved = run(scene)
    inner = slice(3, 37)
    rows, columns = slice(3 + down, 37 + down), slice(3 + right, 37 + right)
    torch.testing.assert_close(moved.image[:, rows, columns], still.image[:, inner, inner], atol=IMAGE, rtol=0)


@given(st.floats(0.05, 0.95))
@settings(max_examples=20)
def test_two_clones_with_the_root_of_the_rest_look_like_one(opacity):
    half = 1 - (1 - opacity) ** 0.5
    one = random_flat(1, size=(3.0, 3.0), opacity=(opacity, opacity))
    one.means2d[:] = torch.tensor([20.5, 10.5])
    two = one.select(torch.tensor([0, 0]))
    two.opacities = torch.full_like(two.opacities, half)
    centre = [run(scene).image[0, 10, 20] for scene in (one, two)]
    torch.testing.assert_close(*centre, atol=1e-6, rtol=0)


def test_median_is_where_half_the_light_is_gone():
    scene = random_flat(3, size=(500.0, 500.0), opacity=(0.4, 0.4), width=4, height=4)
    scene.depths = torch.tensor([[3.0, 1.0, 2.0]])
    assert (run(scene, median=True).median_ids == 2).all()  # 0.6, then 0.36
    assert run(scene).median_ids.numel() == 0
    scene.opacities[:] = 0.1
    assert (run(scene, median=True).median_ids == -1).all()


# Bounded lists


def assert_blends_like(scene: Flat, lists: TileLists, kept: Flat, channels: int = 3) -> list[Tensor]:
    """The same bits from the scene by these lists as from what is kept of it; returns the gradients."""
    results = []
    for flat, its in ((scene, lists), (kept, kept.lists())):
        leaves, probe = flat.leaves(), torch.zeros_like(flat.means2d, requires_grad=True)
        out = run(flat, leaves, its, absgrad=probe, median=True)
        results.append([*out, *torch.autograd.grad(out[:2], [*leaves, probe], cotangents(flat, channels))])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    return results[0][3:]


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 60},
        pytest.param(
            {"count": 20, "cameras": 2, "channels": 5, "width": 18, "height": 17}, marks=pytest.mark.slow_on_host
        ),
    ],
)
def test_bounded_lists_draw_exactly_what_fits(arguments):
    scene = random_flat(**arguments)
    needed = int(scene.lists().needed)
    for bound in (0, 1, needed // 2, needed, needed + 100_000):
        kept = scene.within(bound)
        found = assert_blends_like(scene, scene.lists(bound), kept, arguments.get("channels", 3))
        is_dropped = (kept.extents[..., 0] == 0) & (scene.extents[..., 0] > 0)
        assert is_dropped.any() == (bound < needed)
        for index in (0, 1, 2, 3, 5):  # all but the background's
            assert not found[index][is_dropped].any()


@pytest.mark.slow_on_host
def test_a_bound_of_longer_buckets_changes_no_more_than_rounding():
    # From 3 * 2^19 places on, a bucket on a GPU has three groups.
    scene = random_flat(300)
    results = []
    for lists in (scene.lists(), scene.lists(bound=3 << 19)):
        leaves = scene.leaves()
        out = run(scene, leaves, lists)
        results.append((out.image, gradients(out[:2], leaves, cotangents(scene, 3))))
    assert torch.equal(results[0][0], results[1][0])
    assert_gradients_close(results[0][1], results[1][1])


@pytest.mark.parametrize("cameras, count", [(2, 0), (0, 5)])
def test_nothing_to_draw_may_be_bounded(cameras, count):
    scene = random_flat(count, cameras=cameras)
    for bound in (0, 1000):
        assert_blends_like(scene, scene.lists(bound), scene)


# Edges


def test_nothing_to_draw_shows_the_background():
    scene = random_flat(0, cameras=2)
    leaves = scene.leaves()
    out = run(scene, leaves, median=True)
    assert torch.equal(out.image, scene.background[:, None, None].expand(2, 37, 50, 3))
    assert (out.transmittances == 1).all() and (out.median_ids == -1).all()
    v_image, v_t = cotangents(scene, 3)
    assert gradients(out[:2], leaves, (v_image, v_t))[0].shape == (2, 0, 2)
    black = run(scene, [*leaves[:4], None])
    assert not black.image.any()


def test_no_cameras_and_no_channels():
    assert run(random_flat(5, cameras=0)).image.shape == (0, 37, 50, 3)
    scene = random_flat(30, channels=0)
    out = run(scene)
    assert out.image.shape == (1, 37, 50, 0)
    assert torch.equal(out.transmittances, run(random_flat(30)).transmittances)


def test_degenerate_shapes_leave_the_image_finite():
    conics = [
        [1e-12, 0.0, 1e-12],
        [1e6, 0.0, 1e6],
        [1e6, 1e6, 1e6],
        [3.0, 0.0, 1e-9],
        [0.0, 0.0, 0.0],
        [1.0, -2.0, 1.0],
    ]
    scene = random_flat(6, opacity=(1.0, 1.0))
    scene.conics = torch.tensor([conics])
    scene.extents[:] = 1e4
    leaves = scene.leaves()
    out = run(scene, leaves)
    v = gradients(out[:2], leaves, cotangents(scene, 3))
    assert out.image.isfinite().all() and (out.image >= 0).all() and all(x.isfinite().all() for x in v)


def test_inputs_need_not_be_contiguous():
    scene = random_flat(50)
    out = run(scene)
    leaves = [torch.stack([x, x], dim=-1)[..., 0] for x in scene.leaves()]
    assert not leaves[0].is_contiguous()
    assert torch.equal(run(scene, leaves).image, out.image)


def test_only_some_inputs_need_gradients():
    scene = random_flat(20)
    leaves = [leaf.detach() for leaf in scene.leaves()]
    leaves[3].requires_grad_()
    run(scene, leaves).image.sum().backward()
    assert leaves[3].grad is not None


def test_wrong_arguments_are_named():
    scene = random_flat(5)
    inputs = [leaf.detach() for leaf in scene.leaves()]
    with pytest.raises(ValueError, match=r"background must be \[C, D\] with C = 1, D = 3, got \[1, 4\]"):
        run(scene, [*inputs[:4], torch.zeros(1, 4)])
    with pytest.raises(TypeError, match="conics must be torch.float32"):
        run(scene, [inputs[0], inputs[1].double(), *inputs[2:]])
    with pytest.raises(RuntimeError, match=r"offsets must be \[13\]"):
        run(scene, inputs, replace(scene, width=100).lists())
