"""splat.compat.gsplat against gsplat's own plain-torch functions, and against its documented interface."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import torch
from oracles import gsplat_torch
from torch import Tensor

from splat.cameras import Cameras, intrinsics, look_at
from splat.compat.gsplat import rasterization

WIDTH, HEIGHT = 61, 47
#: float32 against float32 of another expression order, on scenes away from the thresholds.
SMOOTH = 1e-4
#: elsewhere a pair may fall on the other side of the 1/255 cut or of the stop.
ROUGH = 2e-2
MODES = ["RGB", "D", "ED", "RGB+D", "RGB+ED"]


def scene(count: int, seed: int, opacity: tuple[float, float], scale: tuple[float, float]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    return {
        "means": uniform(-0.8, 0.8, count, 3),
        "quats": torch.randn(count, 4, generator=generator),
        "scales": uniform(*scale, count, 3),
        "opacities": uniform(*opacity, count),
        "colors": 0.3 * torch.randn(count, 16, 3, generator=generator),
    }


def smooth_scene() -> dict[str, Any]:
    """Few wide, faint Gaussians: every pixel far above the cut and far from the stop."""
    return scene(6, seed=1, opacity=(0.3, 0.6), scale=(0.9, 1.4))


def rough_scene() -> dict[str, Any]:
    return scene(300, seed=2, opacity=(0.05, 0.99), scale=(0.01, 0.2))


def cameras(model: str = "pinhole") -> Cameras:
    positions = torch.tensor([[0.0, 0.3, -3.0], [2.0, -0.4, -2.5]])
    viewmats = look_at(positions, torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    Ks = intrinsics(WIDTH, HEIGHT, 0.8).repeat(2, 1, 1)
    if model == "ortho":
        Ks[:, :2, :2] *= 0.3
    return Cameras(viewmats, Ks, WIDTH, HEIGHT, model)  # pyright: ignore[reportArgumentType]


def oracle_render(inputs: dict[str, Tensor], views: Cameras, mode: str, rasterize_mode: str, degree: int):
    """The picture gsplat's torch functions make: projection, SH, accumulate, background left out."""
    oracle = gsplat_torch.load()
    covars, _ = oracle._quat_scale_to_covar_preci(inputs["quats"], inputs["scales"], True, False)
    radii, means2d, depths, conics, compensations = oracle._fully_fused_projection(
        inputs["means"],
        covars,
        views.viewmats,
        views.Ks,
        WIDTH,
        HEIGHT,
        calc_compensations=rasterize_mode == "antialiased",
        camera_model=views.model,
    )
    opacities = inputs["opacities"].expand(len(views), -1)
    opacities = opacities if compensations is None else opacities * compensations
    centres = torch.inverse(views.viewmats)[:, :3, 3]
    directions = inputs["means"][None] - centres[:, None]
    sh = oracle._spherical_harmonics(degree, directions, inputs["colors"].expand(len(views), *inputs["colors"].shape))
    colours = (sh + 0.5).clamp(min=0)
    if mode in ("D", "ED"):
        colours = depths[..., None]
    elif "D" in mode:
        colours = torch.cat([colours, depths[..., None]], -1)
    parts = [
        gsplat_torch.blend(
            oracle, means2d[c], conics[c], opacities[c], colours[c], depths[c], (radii[c] > 0).all(-1), WIDTH, HEIGHT
        )
        for c in range(len(views))
    ]
    image, alpha = (torch.stack(stack) for stack in zip(*parts, strict=True))
    if "ED" in mode:
        image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp(min=1e-10)], -1)
    return image, alpha


def relative(a: Tensor, b: Tensor) -> float:
    """Norm-relative difference."""
    return ((a - b).norm() / b.norm().clamp(min=1e-12)).item()


def motion(viewmats: Tensor, grads: Tensor) -> Tensor:
    """[C, 6] gradient for a small turn and shift of each camera.

    Off the rigid motions the two differ, as they must: gsplat inverts the matrix to find the camera, we transpose it.
    """
    turn = grads[:, :3] @ viewmats[:, :3].transpose(1, 2)
    turn = turn - turn.transpose(1, 2)
    return torch.cat([turn[:, [2, 0, 1], [1, 2, 0]], grads[:, :3, 3]], dim=1)


@pytest.mark.parametrize("model", ["pinhole", "ortho", "fisheye"])
@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
@pytest.mark.parametrize(("make", "tolerance"), [(smooth_scene, SMOOTH), (rough_scene, ROUGH)])
def test_images_and_gradients_agree_with_gsplat(make, tolerance, rasterize_mode, model):
    views, target = cameras(model), torch.linspace(0, 1, WIDTH)[:, None]
    results = []
    for run in ("ours", "oracle"):
        inputs = {name: tensor.requires_grad_() for name, tensor in make().items()}
        viewmats = views.viewmats.clone().requires_grad_()
        moved = Cameras(viewmats, views.Ks, WIDTH, HEIGHT, views.model)
        if run == "ours":
            image, alpha, _ = rasterization(
                **inputs,
                viewmats=viewmats,
                Ks=views.Ks,
                width=WIDTH,
                height=HEIGHT,
                sh_degree=3,
                rasterize_mode=rasterize_mode,
                camera_model=model,
            )
        else:
            image, alpha = oracle_render(inputs, moved, "RGB", rasterize_mode, degree=3)
        loss = ((image - target) ** 2).sum() + (alpha * target).sum()
        leaves = [*inputs.values(), viewmats]
        results.append((image, alpha, torch.autograd.grad(loss, leaves)))
    (image, alpha, grads), (oracle_image, oracle_alpha, oracle_grads) = results
    assert relative(image, oracle_image) < tolerance
    assert relative(alpha, oracle_alpha) < tolerance
    grads, oracle_grads = ([*g[:-1], motion(views.viewmats, g[-1])] for g in (grads, oracle_grads))
    for name, ours, theirs in zip([*make(), "viewmats"], grads, oracle_grads, strict=True):
        assert relative(ours, theirs) < tolerance, name


@pytest.mark.parametrize("mode", MODES)
def test_every_render_mode_agrees_with_gsplat(mode):
    inputs, views = smooth_scene(), cameras()
    image, alpha, _ = rasterization(
        **inputs, viewmats=views.viewmats, Ks=views.Ks, width=WIDTH, height=HEIGHT, sh_degree=2, render_mode=mode
    )
    expected, expected_alpha = oracle_render(inputs, views, mode, "classic", degree=2)
    torch.testing.assert_close(image, expected, rtol=SMOOTH, atol=SMOOTH)
    torch.testing.assert_close(alpha, expected_alpha, rtol=SMOOTH, atol=SMOOTH)


@pytest.mark.parametrize("packed", [True, False])
def test_strategies_can_retain_the_gradient_of_means2d(packed):
    inputs, views = rough_scene(), cameras()
    inputs["means"][0, 2] = -100.0  # behind both cameras: nothing to list when packed
    inputs["means"].requires_grad_()
    image, _, meta = rasterization(
        **inputs,
        viewmats=views.viewmats,
        Ks=views.Ks,
        width=WIDTH,
        height=HEIGHT,
        sh_degree=0,
        packed=packed,
        absgrad=True,
    )
    meta["means2d"].retain_grad()
    image.square().sum().backward()
    grad, absgrad = meta["means2d"].grad, meta["means2d"].absgrad
    assert grad.shape == absgrad.shape == meta["means2d"].shape
    assert (absgrad >= grad.abs() - 1e-4 * absgrad.max()).all()
    assert grad.abs().max() > 0
    if packed:
        assert 0 not in meta["gaussian_ids"]
        assert (meta["radii"] > 0).all()


@pytest.mark.parametrize("packed", [True, False])
def test_meta_lists_are_consistent(packed):
    inputs, views = rough_scene(), cameras()
    _, _, meta = rasterization(
        **inputs, viewmats=views.viewmats, Ks=views.Ks, width=WIDTH, height=HEIGHT, sh_degree=1, packed=packed
    )
    assert meta["isect_ids"].diff().ge(0).all(), "keys are sorted by image, tile, depth"
    assert meta["tiles_per_gauss"].sum() == len(meta["flatten_ids"]) == len(meta["isect_ids"])
    depth_bits = (meta["isect_ids"] & 0xFFFFFFFF).int().view(torch.float32)
    torch.testing.assert_close(depth_bits, meta["depths"].flatten()[meta["flatten_ids"].long()], rtol=0, atol=0)
    assert meta["isect_offsets"].shape == (2, meta["tile_height"], meta["tile_width"])


def test_features_of_any_width_and_backgrounds():
    inputs, views = smooth_scene(), cameras()
    features = torch.rand(2, 6, 37)
    backgrounds = torch.rand(2, 37)
    image, alpha, _ = rasterization(
        **{**inputs, "colors": features},
        viewmats=views.viewmats,
        Ks=views.Ks,
        width=WIDTH,
        height=HEIGHT,
        backgrounds=backgrounds,
    )
    dark, _, _ = rasterization(
        **{**inputs, "colors": features}, viewmats=views.viewmats, Ks=views.Ks, width=WIDTH, height=HEIGHT
    )
    torch.testing.assert_close(image, dark + (1 - alpha) * backgrounds[:, None, None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("tile_size", 8), ("covars", torch.eye(3)), ("with_ut", True), ("radius_clip", 1.0), ("distributed", True)],
)
def test_unsupported_arguments_are_refused_by_name(argument, value):
    views = cameras()
    with pytest.raises(NotImplementedError, match=argument):
        rasterization(
            **smooth_scene(),
            viewmats=views.viewmats,
            Ks=views.Ks,
            width=WIDTH,
            height=HEIGHT,
            sh_degree=0,
            **{argument: value},
        )


def test_signature_is_gsplats():
    try:
        source = Path(str(distribution("gsplat").locate_file("gsplat/rendering.py"))).read_text()
    except PackageNotFoundError:
        pytest.skip("gsplat is not installed: pip install --no-deps gsplat==1.5.3")
    theirs = next(
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "rasterization"
    )
    ours = inspect.signature(rasterization)
    assert list(ours.parameters) == [argument.arg for argument in theirs.args.args]
    defaults = [p.default for p in ours.parameters.values() if p.default is not inspect.Parameter.empty]
    literal = [ast.literal_eval(node) if isinstance(node, ast.Constant) else ... for node in theirs.args.defaults]
    for mine, their in zip(defaults, literal, strict=True):
        assert their is ... or mine == their
