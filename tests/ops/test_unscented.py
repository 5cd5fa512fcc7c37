"""Projection by the unscented transform, with lenses that bend: kernel against reference, OpenCV, limits, edges."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch
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

from splat.lens import lenses
from splat.ops.project import project
from splat.reference.project import rotation_matrices

MODELS = ("pinhole", "fisheye")
#: Two lenses each that bend within the tests' images by some pixels; all eight coefficients, tangential ones too.
BENT = {
    "pinhole": [[-0.12, 0.03, 2e-3, -3e-3, 0.004, 0.02, -0.004, 0.001], [0.1, -0.02, -1e-3, 2e-3, 0.0, 0.0, 0.0, 0.0]],
    "fisheye": [[0.04, -0.012, 0.004, -0.001], [-0.03, 0.01, 0.0, 0.0]],
}
#: Relative to the largest entry. The transform is made of differences of float32 pixels, divided by 0.06.
VALUE_TOLERANCE = 5e-5


def bent(world: World) -> World:
    """Seen through lenses that bend, each of the two cameras by its own."""
    return dataclasses.replace(world, unscented=True, distortion=torch.tensor(BENT[world.model]))


def straight(world: World) -> World:
    return dataclasses.replace(world, unscented=True)


# Parity with the reference.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seen", [straight, bent])
@pytest.mark.parametrize("compensate", [False, True])
@pytest.mark.parametrize("size", [0.02, 0.08, 0.5])
def test_kernel_is_the_reference(model, seen, compensate: bool, size: float) -> None:
    world = seen(random_world(300, model=model, size=size, seed=3))
    settings = world.settings(compensate=compensate)
    truth = reference(*world.arguments(world.leaves(torch.float64)), **settings)
    ours = values(world, **settings)
    assert 100 < (ours.extents[..., 0] > 0).sum() < 550
    assert_same_values(ours, truth, VALUE_TOLERANCE)
    assert_same_gradients(
        gradients(project, world, torch.float32, **settings), gradients(reference, world, torch.float64, **settings)
    )


@pytest.mark.parametrize("sh_degree", [-1, 0, 4])
def test_any_degree_and_smoothing_filters(sh_degree: int) -> None:
    world = bent(random_world(200, sh_degree=4))
    settings, filters = world.settings(sh_degree=sh_degree, compensate=True), filters_for(world)[:200]
    ours = values(world, **settings, filters=filters)
    assert_same_values(
        ours, reference(*world.arguments(world.leaves(torch.float64)), **settings, filters=filters), VALUE_TOLERANCE
    )
    assert_same_gradients(
        gradients(project, world, torch.float32, **settings, filters=filters),
        gradients(reference, world, torch.float64, **settings, filters=filters.double()),
    )


@pytest.mark.backends("cpu")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("compensate", [False, True])
def test_reference_gradients_are_its_differences(model, compensate: bool) -> None:
    world = bent(four_gaussians(model))
    settings = world.settings(sh_degree=4, compensate=compensate)

    def differentiable(*leaves: Tensor) -> tuple[Tensor, ...]:
        found = reference(*world.arguments(list(leaves)), **settings)
        assert (found.extents > 0).all()
        return tuple(value for name, value in found._asdict().items() if name != "extents")

    assert torch.autograd.gradcheck(differentiable, world.leaves(torch.float64), fast_mode=True)


# What it means.


def opencv_pixels(world: World, camera: int) -> np.ndarray:
    """[N, 2] where OpenCV projects the centres."""
    rotation, _ = cv2.Rodrigues(world.viewmats[camera, :3, :3].double().cpu().numpy())
    translation = world.viewmats[camera, :3, 3].double().cpu().numpy()
    assert world.distortion is not None
    K, k = (x[camera].double().cpu().numpy() for x in (world.Ks, world.distortion))
    points = world.means.double().cpu().numpy()[:, None]
    function = cv2.fisheye.projectPoints if world.model == "fisheye" else cv2.projectPoints
    return function(points, rotation, translation, K, k)[0][:, 0]


@pytest.mark.parametrize("model", MODELS)
def test_a_tiny_gaussian_is_where_opencv_sees_its_centre(model) -> None:
    world = bent(random_world(400, model=model, size=1e-4))
    found = values(world, **world.settings())
    for camera in range(2):
        visible = found.extents[camera, :, 0] > 0
        assert visible.sum() > 50
        expected = torch.from_numpy(opencv_pixels(world, camera))[visible.cpu()]
        torch.testing.assert_close(found.means2d[camera, visible].cpu().double(), expected, rtol=0, atol=2e-3)


@pytest.mark.backends("cpu")
@pytest.mark.parametrize("model", MODELS)
def test_it_tends_to_ewa_as_gaussians_shrink(model) -> None:
    """Mean and covariance differ by terms of the second order: a fourth at each halving of the Gaussians."""
    world = four_gaussians(model)
    differences = []
    for shrunk in (1.0, 0.5, 0.25):
        smaller = dataclasses.replace(world, log_scales=world.log_scales + math.log(shrunk))
        ewa, unscented = (
            reference(*w.arguments(w.leaves(torch.float64)), **w.settings(eps2d=0.0))
            for w in (smaller, straight(smaller))
        )
        mean = (unscented.means2d - ewa.means2d).norm()
        conic = (unscented.conics / ewa.conics - 1).norm()
        differences.append(torch.stack([mean, conic]))
    for larger, smaller in zip(differences, differences[1:], strict=False):
        ratio = larger / smaller
        assert (ratio > 3.5).all() and (ratio < 4.7).all(), ratio


@pytest.mark.backends("cpu")
@pytest.mark.parametrize("model", MODELS)
def test_the_mean_is_that_of_samples(model) -> None:
    """The image of a Gaussian is not centred where its centre is seen, but where the transform's mean is."""
    world = bent(four_gaussians(model))
    world.means[0], world.log_scales[0] = torch.tensor([0.4, 0.25, 1.5]), torch.tensor([0.05, 0.12, 0.15]).log()
    found = reference(*world.arguments(world.leaves(torch.float64)), **world.settings())
    axes = rotation_matrices(world.quats.double())[0] * world.log_scales[0].double().exp()
    normal = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = dataclasses.replace(world, means=world.means[0] + normal @ axes.T)
    truth = torch.from_numpy(opencv_pixels(samples, 0)).mean(0)
    centre = torch.from_numpy(opencv_pixels(world, 0))[0]
    assert (centre - truth).norm() > 0.2
    assert (found.means2d[0, 0] - truth).norm() < 0.15 * (centre - truth).norm()


def test_nothing_is_seen_where_the_lens_folds_back() -> None:
    """r - 0.3 r^3 falls again from r = 1.054 on; beyond, directions would land on the image once more."""
    world = straight(random_world(1, views=1))
    angles = torch.linspace(-1.3, 1.3, 105)
    count = len(angles)
    points = 3 * torch.stack([angles.sin(), torch.zeros(count), angles.cos()], dim=1)
    K = torch.tensor([[[40.0, 0, 48], [0, 40.0, 32], [0, 0, 1]]])
    world = dataclasses.replace(
        world,
        means=points,
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        log_scales=torch.full((count, 3), -4.0),
        opacity_logits=torch.full((count,), 3.0),
        sh=world.sh[:1].repeat(count, 1, 1),
        Ks=K,
        distortion=torch.tensor([[-0.3, 0.0, 0.0, 0.0]]),
    )
    found = values(world, **world.settings())
    slopes = angles.tan().abs()
    assert lenses(world.distortion, "pinhole")[0, 8].sqrt().item() == pytest.approx(math.sqrt(1 / 0.9), abs=0.01)  # type: ignore[arg-type]
    visible = found.extents[0, :, 0] > 0
    assert torch.equal(visible, slopes < slopes[visible].max() + 1e-6)
    assert 0.95 < slopes[visible].max() < math.sqrt(1 / 0.9)
    for value in found:
        assert not value[0, ~visible].any()


def test_what_is_far_off_the_image_is_culled() -> None:
    world = straight(random_world(2, views=1, size=2.0))
    beside = torch.tensor([0.6, 0.9]) * world.width / world.Ks[0, 0, 0] * 4  # 60 and 90 % of the width off the middle
    world.means[:] = torch.stack([beside, torch.zeros(2), torch.full((2,), 4.0)], dim=1)
    world.opacity_logits[:] = 5.0
    assert (values(world, **world.settings()).extents[0, :, 0] > 0).tolist() == [True, False]


# The operator's registration, laws, edges.


@pytest.mark.slow
def test_opcheck() -> None:
    world = bent(random_world(5, sh_degree=1))
    assert world.distortion is not None
    leaves = [leaf.requires_grad_() for leaf in world.leaves()]
    *tensors, _, width, height = op_arguments(dataclasses.replace(world, distortion=None), leaves)[:11]
    settings = [1, *list(dataclasses.replace(world, distortion=None).settings(sh_degree=1).values())[1:]]
    arguments = (*tensors, lenses(world.distortion, world.model), width, height, *settings)
    torch.library.opcheck(torch.ops.splat.project.default, arguments)


@pytest.mark.backends("cpu")
def test_any_number_of_threads_gives_the_same_bits() -> None:
    world = bent(random_world(3000))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 5):
            torch.set_num_threads(threads)
            found = values(world, **world.settings())
            results.append([*found, *gradients(project, world, torch.float32, **world.settings()).values()])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_edges_harm_nobody(model) -> None:
    world = bent(dataclasses.replace(edge_world(), model=model))
    for compensate in (False, True):
        settings = world.settings(compensate=compensate)
        ours = values(world, **settings)
        visible = ours.extents[..., 0] > 0
        assert visible[:, :4].all() and visible[:, -4:].all()
        for value in ours:
            assert value.isfinite().all() and not value[~visible].any()
        found = gradients(
            lambda *a, **k: project(*a, **k)._replace(colours=torch.zeros(0)), world, torch.float32, **settings
        )
        for name in PARAMETERS[:-1]:
            assert not found[name][~visible.any(dim=0)].any()
            assert found[name][:4].isfinite().all() and found[name][-4:].isfinite().all()


@pytest.mark.parametrize("poison", POISON)
def test_poison_in_a_lens_culls_all_that_it_sees(poison: float) -> None:
    world = bent(random_world(50))
    settings = world.settings()
    clean = values(world, **settings)
    settings["lenses"] = settings["lenses"].clone()
    settings["lenses"][0, 0] = poison
    found = values(world, **settings)
    for a, b in zip(clean, found, strict=True):
        assert not b[0].any() and torch.equal(a[1], b[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unscented": False}, "a lens that bends needs the unscented transform"),
        ({"lenses": torch.zeros(2, 8)}, r"lenses must be \[2, 9\], got \[2, 8\]"),
        ({"lenses": None, "camera_model": 1}, "an orthographic camera has no unscented transform"),
        ({"lenses": torch.zeros(2, 9, dtype=torch.float64)}, "lenses must be torch.float32 like means"),
    ],
)
def test_mistakes_are_named(change: dict, message: str) -> None:
    world = bent(random_world(3))
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        values(world, **(world.settings() | change))
