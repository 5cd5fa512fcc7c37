"""The same work by other people's code, timed in the same run."""

from __future__ import annotations

import importlib.util
import sys
import types
from importlib.metadata import PackageNotFoundError, distribution

import torch
from bench_scenes import BenchScene
from bench_stages import Budget
from torch import Tensor

from splat.ops.project import Projection, project
from splat.ops.tiles import TileLists, tiles
from splat.reference.constants import ALPHA_MAX, ALPHA_MIN, TILE, TRANSMITTANCE_MIN
from splat.reference.ssim import photometric_loss

GSPLAT_VERSION = "1.5.3"


def torch_loss_ms(scene: BenchScene, budget: Budget) -> float:
    """L1 and SSIM by torch's conv2d, forward and backward; the better of two runs."""
    best = float("inf")
    for _ in range(2):
        image = (scene.target.float() / 255 + 0.01).requires_grad_()
        start = budget.clock()
        photometric_loss(image, scene.target).backward()
        best = min(best, (budget.clock() - start) * 1e3)
    return best


def gsplat_functions() -> types.ModuleType | None:
    """gsplat's plain-torch functions, loaded past its CUDA package; None where its wheel is not installed."""
    try:
        path = distribution("gsplat").locate_file("gsplat/cuda/_torch_impl.py")
    except PackageNotFoundError:
        return None
    spec = importlib.util.spec_from_file_location("gsplat_torch_impl", str(path))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gsplat_ms(gsplat: types.ModuleType, scene: BenchScene, budget: Budget) -> float:
    """Forward and backward of gsplat's functions, which are given the list of blended pairs; one run."""
    parameters = [tensor.detach().clone().requires_grad_() for tensor in scene.gaussians.parameters().values()]
    camera = scene.camera
    gaussian_ids, pixel_ids = _pairs(scene)
    sys.modules["nerfacc"] = _nerfacc()
    try:
        start = budget.clock()
        means, quats, log_scales, logits, sh = parameters
        covariances, _ = gsplat._quat_scale_to_covar_preci(quats, log_scales.exp(), compute_preci=False)
        _, means2d, _, conics, _ = gsplat._fully_fused_projection(
            means, covariances, camera.viewmats, camera.Ks, camera.width, camera.height
        )
        directions = means - camera.positions
        colours = (gsplat._spherical_harmonics(3, directions, sh) + 0.5).clamp(min=0)
        image, _ = gsplat.accumulate(
            means2d,
            conics,
            logits.sigmoid()[None],
            colours[None],
            gaussian_ids,
            pixel_ids,
            torch.zeros_like(pixel_ids),
            camera.width,
            camera.height,
        )
        (image - scene.target / 255).square().mean().backward()
        return (budget.clock() - start) * 1e3
    finally:
        del sys.modules["nerfacc"]


@torch.no_grad()
def _pairs(scene: BenchScene) -> tuple[Tensor, Tensor]:
    """(gaussian_ids, pixel_ids) of every blended pair, by pixel, front to back: our tile lists, pixel by pixel."""
    camera, g = scene.camera, scene.gaussians
    projected = project(
        g.means, g.quats, g.log_scales, g.opacity_logits, g.sh, camera.viewmats, camera.Ks, camera.width, camera.height,
        sh_degree=3, camera_model=0, near=0.01, far=1e10, eps2d=0.3, compensate=False,
    )  # fmt: skip
    lists = tiles(
        projected.means2d,
        projected.conics,
        projected.depths,
        projected.opacities,
        projected.extents,
        camera.width,
        camera.height,
    )
    columns = -(-camera.width // TILE)
    found = [
        _tile_pairs(projected, lists, tile, tile % columns, tile // columns, camera.width, camera.height)
        for tile in range(len(lists.offsets) - 1)
    ]
    gaussian_ids, pixel_ids = (torch.cat(part) for part in zip(*found, strict=True))
    order = pixel_ids.argsort(stable=True)
    return gaussian_ids[order], pixel_ids[order]


def _tile_pairs(
    projected: Projection, lists: TileLists, tile: int, column: int, row: int, width: int, height: int
) -> tuple[Tensor, Tensor]:
    ids = lists.gaussian_ids[lists.offsets[tile] : lists.offsets[tile + 1]].long()
    x = torch.arange(column * TILE, min((column + 1) * TILE, width))
    y = torch.arange(row * TILE, min((row + 1) * TILE, height))
    pixel_ids = (y[:, None] * width + x).flatten()
    pixels = torch.stack(torch.meshgrid(x + 0.5, y + 0.5, indexing="xy"), -1).reshape(-1, 1, 2)
    dx, dy = (pixels - projected.means2d[0, ids]).unbind(-1)
    a, b, c = projected.conics[0, ids].unbind(-1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = (projected.opacities[0, ids] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    alpha = torch.where((alpha >= ALPHA_MIN) & (sigma >= 0), alpha, 0.0)
    alive = (1 - alpha).cumprod(1) > TRANSMITTANCE_MIN
    pixel, place = ((alpha > 0) & alive).nonzero(as_tuple=True)
    return ids[place], pixel_ids[pixel]


def _nerfacc() -> types.ModuleType:
    """The two functions of nerfacc that gsplat calls; nerfacc's own are CUDA kernels."""

    def render_weight_from_alpha(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
        counts = torch.bincount(ray_indices, minlength=n_rays)
        column = torch.arange(len(alphas)) - (counts.cumsum(0) - counts)[ray_indices]
        rows = torch.ones(n_rays, int(counts.max()) + 1)
        rows = rows.index_put((ray_indices, column + 1), 1 - alphas)
        transmittance = rows.cumprod(1)[ray_indices, column]
        return alphas * transmittance, transmittance

    def accumulate_along_rays(weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int) -> Tensor:
        values = weights[:, None] if values is None else weights[:, None] * values
        return torch.zeros(n_rays, values.shape[1]).index_add(0, ray_indices, values)

    module = types.ModuleType("nerfacc")
    module.__dict__.update(
        render_weight_from_alpha=render_weight_from_alpha, accumulate_along_rays=accumulate_along_rays
    )
    return module
