"""render from end to end: against the reference, golden images, laws, edges, and the instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backends import rand, randn
from golden_scenes import GOLDEN, golden_images
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Flat, is_smooth
from torch import Tensor

from splat import native
from splat.cameras import CAMERA_MODELS, Cameras, intrinsics, look_at
from splat.gaussians import Gaussians
from splat.reference.blend import blend as reference_blend
from splat.reference.project import project as reference_project
from splat.render import ANTIALIAS, Rendering, render

WIDTH, HEIGHT = 45, 38
#: float32 through projection, SH and blending against float64, where no decision is close.
IMAGE, GRADIENT = 1e-5, 1e-4
#: An 8-bit PNG is off by half a level; the rest is rounding at a threshold.
GOLDEN_LEVELS = 1
BACKGROUND = (0.2, 0.5, 0.9)

pytestmark = pytest.mark.usefixtures("on_backend")


def world(count: int, seed: int = 0, degree: int = 2) -> Gaussians:
    """Gaussians in a ball around the origin, none so thin or so opaque that float32 would tell."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * rand(*shape, generator=generator)

    return Gaussians(
        means=uniform(-1, 1, count, 3),
        quats=randn(count, 4, generator=generator),
        log_scales=uniform(-3, -1.2, count, 3),
        opacity_logits=uniform(-2, 2, count),
        sh=0.4 * randn(count, (degree + 1) ** 2, 3, generator=generator),
    )


def views(model: str = "pinhole") -> Cameras:
    positions = torch.tensor([[0.0, 0.3, -3.0], [2.0, -0.4, -2.5]])
    viewmats = look_at(positions, torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    Ks = intrinsics(WIDTH, HEIGHT, 0.8).repeat(2, 1, 1)
    if model == "ortho":
        Ks[:, :2, :2] *= 0.3
    return Cameras(viewmats, Ks, WIDTH, HEIGHT, model)  # pyright: ignore[reportArgumentType]


def leaves_of(gaussians: Gaussians, cameras: Cameras, dtype: torch.dtype) -> list[Tensor]:
    tensors = [*gaussians.parameters().values(), cameras.viewmats, torch.tensor(BACKGROUND)]
    return [tensor.detach().to(dtype).clone().requires_grad_() for tensor in tensors]


def ours(leaves: list[Tensor], cameras: Cameras, mode: str = "classic", **options) -> Rendering:
    *parameters, viewmats, background = leaves
    return render(
        Gaussians(*parameters), replace(cameras, viewmats=viewmats), background=background, antialias=mode, **options
    )


def theirs(leaves: list[Tensor], cameras: Cameras, mode: str) -> tuple[Tensor, Tensor, Flat]:
    """Image and transmittance of the reference, depth as fourth channel; and what was blended."""
    means, quats, log_scales, opacity_logits, sh, viewmats, background = leaves
    eps2d, compensate = ANTIALIAS[mode]
    means2d, depths, conics, opacities, extents, colours = reference_project(
        means,
        quats,
        log_scales,
        opacity_logits,
        sh,
        viewmats,
        cameras.Ks.double(),
        WIDTH,
        HEIGHT,
        sh_degree=2,
        camera_model=CAMERA_MODELS.index(cameras.model),
        near=0.01,
        far=1e10,
        eps2d=eps2d,
        compensate=compensate,
    )
    colours = torch.cat([colours, depths[..., None]], dim=-1)
    behind = torch.cat([background, background.new_zeros(1)]).expand(len(cameras), -1)
    image, t, _ = reference_blend(means2d, conics, opacities, colours, behind, depths.detach(), WIDTH, HEIGHT)
    return image, t, Flat(means2d, conics, depths, opacities, extents, colours, behind, WIDTH, HEIGHT)


# Parity


@pytest.mark.parametrize(
    "model, mode",
    [
        ("pinhole", "classic"),
        pytest.param("pinhole", "antialiased", marks=pytest.mark.slow_on_host),
        pytest.param("ortho", "mip", marks=pytest.mark.slow_on_host),
        pytest.param("fisheye", "classic", marks=pytest.mark.slow_on_host),
    ],
)
def test_image_depth_alpha_and_gradients_agree_with_the_reference(model, mode):
    cameras, gaussians = views(model), world(120)
    single, double = (leaves_of(gaussians, cameras, dtype) for dtype in (torch.float32, torch.float64))
    a = ours(single, cameras, mode, depth=True)
    image, t, blended = theirs(double, cameras, mode)
    smooth = is_smooth(blended).detach()
    assert smooth.float().mean() > 0.7
    assert a.accumulated_depth is not None and a.expected_depth is not None
    assert (a.rgb - image[..., :3]).abs()[smooth].max() <= IMAGE
    assert (a.alpha - (1 - t)).abs()[smooth].max() <= IMAGE
    assert (a.accumulated_depth - image[..., 3]).abs()[smooth].max() <= 4 * IMAGE  # depths are around 3

    generator = torch.Generator().manual_seed(4)
    v_image = randn(*image.shape, generator=generator) * smooth[..., None]
    v_alpha = randn(*t.shape, generator=generator) * smooth
    found = torch.autograd.grad(
        [a.rgb, a.accumulated_depth, a.alpha], single, [v_image[..., :3], v_image[..., 3], v_alpha]
    )
    expected = torch.autograd.grad([image, 1 - t], double, [v_image.double(), v_alpha.double()])
    names = ["means", "quats", "log_scales", "opacity_logits", "sh", "viewmats", "background"]
    for name, x, y in zip(names, found, expected, strict=True):
        if name == "viewmats":  # the last row is no input of the projection
            x, y = x[:, :3], y[:, :3]
        assert (x - y).norm() <= GRADIENT * y.norm(), f"{name}: {(x - y).norm() / y.norm():.1e}"


def test_median_depth_is_the_depth_of_a_gaussian_in_sight():
    cameras, gaussians = views(), world(200)
    gaussians.opacity_logits[:] = 3.0
    rendering = render(gaussians, cameras, depth=True)
    assert rendering.median_depth is not None
    found = rendering.median_depth > 0
    assert found.any() and torch.equal(found, rendering.alpha > 0.5)
    for view in range(2):
        assert torch.isin(rendering.median_depth[view][found[view]], rendering.depths[view]).all()


def test_features_take_the_place_of_colours():
    cameras, gaussians = views(), world(50)
    features = rand(50, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    background = torch.rand(2, 6)
    rendering = render(gaussians, cameras, features=features, background=background)
    assert rendering.rgb.shape == (2, HEIGHT, WIDTH, 6)
    halves = [
        render(gaussians, cameras, features=features[:, part], background=background[:, part]).rgb
        for part in (slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(rendering.rgb, torch.cat(halves, dim=-1), atol=1e-6, rtol=0)
    rendering.rgb.sum().backward()
    assert features.grad is not None and features.grad.abs().sum() > 0


def test_absgrad_bounds_the_gradient():
    leaves = leaves_of(world(80), views(), torch.float32)
    rendering = ours(leaves, views(), absgrad=True)
    rendering.means2d.retain_grad()
    rendering.rgb.square().sum().backward()
    assert rendering.absgrad is not None and rendering.absgrad.grad is not None and rendering.means2d.grad is not None
    assert (rendering.absgrad.grad >= rendering.means2d.grad.abs() * (1 - 1e-4) - 1e-5).all()
    assert rendering.absgrad.grad.any()


# Golden images


@pytest.mark.parametrize("name", sorted(golden_images()))
def test_golden_images(name):
    from PIL import Image

    image = golden_images()[name]()
    with Image.open(GOLDEN / f"{name}.png") as stored:
        expected = torch.tensor(list(stored.convert("RGB").tobytes())).reshape(image.shape)
    difference = (image.int() - expected).abs()
    assert difference.max() <= GOLDEN_LEVELS, f"{name}: off by {difference.max()} of 255; see tests/golden/README.md"


# Laws


@given(st.randoms(use_true_random=False), st.integers(1, 30))
@settings(max_examples=15)
def test_the_order_of_the_gaussians_does_not_matter(random, count):
    gaussians = world(count, seed=random.randrange(10**6))
    shuffled = gaussians.select(torch.tensor(random.sample(range(count), count)))
    assert torch.equal(render(gaussians, views()).rgb, render(shuffled, views()).rgb)


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_no_opacity_is_no_gaussian(seed):
    gaussians = world(20, seed)
    gaussians.opacity_logits[4] = -30.0
    others = torch.arange(20) != 4
    assert torch.equal(render(gaussians, views()).rgb, render(gaussians.select(others), views()).rgb)


@given(st.integers(0, 10**6), st.integers(-2, 2), st.integers(-2, 2))
@settings(max_examples=15)
def test_moving_the_principal_point_moves_the_image(seed, right, down):
    # Wide, faint blobs far from the border: no threshold within reach of what a moved mean rounds to.
    gaussians, cameras = world(5, seed, degree=0), views()
    gaussians = replace(gaussians, means=0.3 * gaussians.means, opacity_logits=gaussians.opacity_logits - 1)
    moved = replace(cameras, Ks=cameras.Ks.clone())
    moved.Ks[:, :2, 2] += torch.tensor([float(right), float(down)])
    still, shifted = render(gaussians, cameras).rgb, render(gaussians, moved).rgb
    inner = still[:, 2:-2, 2:-2]
    part = shifted[:, 2 + down : HEIGHT - 2 + down, 2 + right : WIDTH - 2 + right]
    # A pixel on the rim of a blob, alpha = 1/255, may fall on either side.
    off = (part - inner).abs().amax(-1) > IMAGE
    assert off.float().mean() < 0.005 and (part - inner).abs().max() < 0.02


def test_moving_scene_and_cameras_together_changes_nothing():
    gaussians, cameras = world(60), views()
    turn = look_at(torch.tensor([0.5, 0.2, 1.0]), torch.tensor([0.1, 0.0, 0.3]), torch.tensor([0.0, 1.0, 0.2]))
    turned = replace(cameras, viewmats=cameras.viewmats @ torch.linalg.inv(turn))
    a, b = render(gaussians, cameras).rgb, render(gaussians.transform(turn), turned).rgb
    off = (a - b).abs().amax(-1) > 1e-4  # rims of splats, where alpha = 1/255 falls on either side
    assert off.float().mean() < 0.01 and (a - b).abs().max() < 0.02


@pytest.mark.backends("cpu")
def test_same_bits_for_any_number_of_threads():
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        leaves = leaves_of(world(3000), views(), torch.float32)
        rendering = ours(leaves, views(), depth=True)
        results.append([rendering.rgb, *torch.autograd.grad(rendering.rgb.square().sum(), leaves)])
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


LEVEL_SCRIPT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from test_render import leaves_of, ours, views, world
leaves = leaves_of(world(300), views(), torch.float32)
rendering = ours(leaves, views(), depth=True, absgrad=True)
gradients = torch.autograd.grad(rendering.rgb.square().sum(), [*leaves, rendering.absgrad])
torch.save([rendering.rgb, rendering.alpha, *gradients], sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.backends("cpu")
def test_instruction_sets_agree(tmp_path):
    """Each level in a process of its own; one that this CPU can't run is left out, baseline always runs."""
    best = native.describe().isa
    levels = ["baseline", "avx2", "avx512"][: ["baseline", "avx2", "avx512"].index(best) + 1]
    folder = Path(__file__).parent
    running = {
        level: subprocess.Popen(
            [sys.executable, "-c", LEVEL_SCRIPT, str(folder), str(tmp_path / level)],
            env={**os.environ, "SPLAT_CPU_ISA": level},
        )
        for level in levels
    }
    assert all(process.wait() == 0 for process in running.values())
    results = {level: torch.load(tmp_path / level) for level in levels}
    for level in levels[1:]:
        for a, b in zip(results["baseline"], results[level], strict=True):
            assert (a - b).norm() <= 1e-4 * a.norm(), level


# Edges


def test_degenerate_gaussians_leave_image_and_gradients_finite():
    gaussians = world(12)
    gaussians.means[0] = torch.tensor([0.0, 0.3, -3.0])  # at the first camera
    gaussians.means[1] = torch.tensor([0.0, 0.3, -9.0])  # behind it
    gaussians.means[2] = float("nan")
    gaussians.log_scales[3] = -200.0  # zero
    gaussians.log_scales[4] = 200.0  # infinite
    gaussians.quats[5] = 0.0
    gaussians.opacity_logits[6] = 100.0  # one
    gaussians.opacity_logits[7] = -100.0  # zero
    gaussians.means[8] = 1e20
    gaussians.log_scales[9] = 6.0  # over everything
    gaussians.sh[10] = float("inf")
    leaves = leaves_of(gaussians, views(), torch.float32)
    rendering = ours(leaves, views(), depth=True)
    assert rendering.rgb.isfinite().all() and rendering.alpha.min() >= 0 and rendering.alpha.max() <= 1
    gradients = torch.autograd.grad(rendering.rgb.sum() + rendering.alpha.sum(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert rendering.visible[:, 9].all() and not rendering.visible[:, [2, 5, 7]].any()


def test_an_empty_scene_shows_the_background():
    background = torch.tensor(BACKGROUND)
    rendering = render(world(0), views(), background=background, depth=True)
    assert torch.equal(rendering.rgb, background.expand(2, HEIGHT, WIDTH, 3))
    assert rendering.median_depth is not None and rendering.expected_depth is not None
    assert not rendering.alpha.any() and not rendering.median_depth.any() and not rendering.expected_depth.any()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="antialias must be one of"):
        render(world(3), views(), antialias="none")
    with pytest.raises(ValueError, match=r"features must be \[3, D\]"):
        render(world(3), views(), features=torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("viewmats", {"cameras": views().to("meta")}),
        ("background", {"background": torch.zeros(3, device="meta")}),
        ("features", {"features": torch.zeros(3, 5, device="meta")}),
    ],
)
def test_a_mix_of_devices_is_named(name, settings):
    with pytest.raises(ValueError, match=rf"{name} must be on (cpu|cuda:\d) like means"):
        render(world(3), **{"cameras": views(), **settings})
