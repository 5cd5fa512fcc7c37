"""gsplat 1.5.3's own plain-torch functions, loaded without its CUDA package: an oracle written by somebody else.

Its pair finder and nerfacc's scan are CUDA kernels. `blend` hands it the pairs, and a cumulative product stands in for
the scan.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch
from torch import Tensor

ALPHA_MIN, ALPHA_MAX, TRANSMITTANCE_MIN = 1 / 255, 0.999, 1e-4


def load() -> types.ModuleType:
    """The module gsplat.cuda._torch_impl; skips the test where the wheel is not installed."""
    try:
        path = distribution("gsplat").locate_file("gsplat/cuda/_torch_impl.py")
    except PackageNotFoundError:
        if "gsplat" in os.environ.get("SPLAT_REQUIRE", ""):
            raise
        pytest.skip("gsplat is not installed: pip install --no-deps gsplat==1.5.3")
    spec = importlib.util.spec_from_file_location("gsplat_torch_impl", str(path))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _render_weight_from_alpha(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
    """nerfacc's exclusive product of 1 - alpha along each ray, for pairs sorted by ray."""
    counts = torch.bincount(ray_indices, minlength=n_rays)
    starts = torch.cumsum(counts, 0) - counts
    column = torch.arange(len(alphas)) - starts[ray_indices]
    rows = torch.ones(n_rays, int(counts.max()) + 1, dtype=alphas.dtype)
    rows = rows.index_put((ray_indices, column + 1), 1 - alphas)
    transmittance = rows.cumprod(1)[ray_indices, column]
    return alphas * transmittance, transmittance


def _accumulate_along_rays(weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int) -> Tensor:
    """nerfacc's weighted sum per ray."""
    values = weights[:, None] if values is None else weights[:, None] * values
    return torch.zeros(n_rays, values.shape[1], dtype=values.dtype).index_add(0, ray_indices, values)


@torch.no_grad()
def visible_pairs(
    means2d: Tensor, conics: Tensor, opacities: Tensor, depths: Tensor, visible: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """(gaussian_ids, pixel_ids) of every blended pair of one image, by pixel, front to back; and brute force."""
    order = depths.argsort(stable=True)
    order = order[visible[order]]
    x = torch.arange(width, dtype=means2d.dtype) + 0.5
    y = torch.arange(height, dtype=means2d.dtype) + 0.5
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 1, 2)
    delta = pixels - means2d[order]
    a, b, c = conics[order].unbind(-1)
    sigma = 0.5 * (a * delta[..., 0] ** 2 + c * delta[..., 1] ** 2) + b * delta[..., 0] * delta[..., 1]
    alpha = (opacities[order] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    alpha = torch.where((alpha >= ALPHA_MIN) & (sigma >= 0), alpha, 0)
    alive = (1 - alpha).cumprod(1) > TRANSMITTANCE_MIN
    pixel_ids, column = ((alpha > 0) & alive).nonzero(as_tuple=True)
    return order[column], pixel_ids


def blend(
    oracle: types.ModuleType,
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colours: Tensor,
    depths: Tensor,
    visible: Tensor,
    width: int,
    height: int,
) -> tuple[Tensor, Tensor]:
    """gsplat's `accumulate` over all pairs of one image: [H, W, D] colours and [H, W, 1] alphas."""
    gaussian_ids, pixel_ids = visible_pairs(means2d, conics, opacities, depths, visible, width, height)
    nerfacc = types.ModuleType("nerfacc")
    nerfacc.__dict__.update(
        accumulate_along_rays=_accumulate_along_rays, render_weight_from_alpha=_render_weight_from_alpha
    )
    sys.modules["nerfacc"] = nerfacc
    try:
        renders, alphas = oracle.accumulate(
            means2d[None],
            conics[None],
            opacities[None],
            colours[None],
            gaussian_ids,
            pixel_ids,
            torch.zeros_like(pixel_ids),
            width,
            height,
        )
    finally:
        del sys.modules["nerfacc"]
    return renders[0], alphas[0]
