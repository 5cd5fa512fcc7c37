"""A drop-in for `gsplat.rasterization` (1.5.3), so that code written for gsplat runs here by changing one import.

Same signature, returns and `meta` keys, on top of `splat.render`. Arguments that this project does not support raise
NotImplementedError by name instead of being ignored; `channel_chunk` and `segmented` only tune gsplat's own kernels and
change nothing here.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from splat import checks
from splat.cameras import CAMERA_MODELS
from splat.ops.project import Projection, project
from splat.render import Rendering, composite

TILE_SIZE = 16


def rasterization(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = True,
    tile_size: int = TILE_SIZE,
    backgrounds: Tensor | None = None,
    render_mode: Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"] = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: Literal["classic", "antialiased"] = "classic",
    channel_chunk: int = 32,
    distributed: bool = False,
    camera_model: Literal["pinhole", "ortho", "fisheye", "ftheta"] = "pinhole",
    segmented: bool = False,
    covars: Tensor | None = None,
    with_ut: bool = False,
    with_eval3d: bool = False,
    radial_coeffs: Tensor | None = None,
    tangential_coeffs: Tensor | None = None,
    thin_prism_coeffs: Tensor | None = None,
    ftheta_coeffs: Any = None,
    rolling_shutter: Any = None,
    viewmats_rs: Tensor | None = None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Rasterises N Gaussians to C images, as `gsplat.rasterization` does.

    Args:
        means: [N, 3] centres, world units.
        quats: [N, 4] wxyz, of any length but zero.
        scales: [N, 3] standard deviations (not logarithms), world units.
        opacities: [N] in [0, 1].
        colors: [N, D] or [C, N, D] channels; with `sh_degree`, [N, K, 3] SH coefficients.
        viewmats: [C, 4, 4] camera from world. Ks: [C, 3, 3], px.
        packed: `meta` lists only what is visible, [nnz, ...], as gsplat's default does; else [C, N, ...].
        backgrounds: [C, D].
        render_mode: colours, accumulated depth (D), expected depth (ED), or both with depth as the last channel.

    Returns:
        colours [C, H, W, X], alphas [C, H, W, 1] and meta. `meta["means2d"]` is part of the graph, so that gsplat's
        strategies can call `retain_grad()` on it; with `absgrad` it gets `.absgrad` in backward.

    Raises:
        NotImplementedError: an argument that this project does not support, by name.
        ValueError, TypeError: a shape, dtype or value is wrong.
    """
    _refuse(
        batch_dimensions=means.dim() != 2,
        radius_clip=radius_clip != 0,
        tile_size=tile_size != TILE_SIZE,
        sparse_grad=sparse_grad,
        distributed=distributed,
        covars=covars is not None,
        with_ut=with_ut,
        with_eval3d=with_eval3d,
        radial_coeffs=radial_coeffs is not None,
        tangential_coeffs=tangential_coeffs is not None,
        thin_prism_coeffs=thin_prism_coeffs is not None,
        ftheta_coeffs=ftheta_coeffs is not None or camera_model == "ftheta",
        rolling_shutter=getattr(rolling_shutter, "name", "GLOBAL") != "GLOBAL",
        viewmats_rs=viewmats_rs is not None,
        per_camera_sh=sh_degree is not None and colors.dim() != 3,
    )
    checks.one_of("render_mode", render_mode, ("RGB", "D", "ED", "RGB+D", "RGB+ED"))
    checks.one_of("rasterize_mode", rasterize_mode, ("classic", "antialiased"))
    count, views = means.shape[0], viewmats.shape[0]
    # The smallest positive floats keep zero scales and opacities of 0 and 1 finite in log space.
    projection = project(
        means,
        quats,
        scales.clamp(min=torch.finfo(scales.dtype).tiny).log(),
        opacities.logit(eps=torch.finfo(opacities.dtype).eps / 2),
        colors if sh_degree is not None else colors.new_zeros(count, 1, 3),
        viewmats,
        Ks,
        width,
        height,
        sh_degree=-1 if sh_degree is None else sh_degree,
        camera_model=CAMERA_MODELS.index(camera_model),
        near=near_plane,
        far=far_plane,
        eps2d=eps2d,
        compensate=rasterize_mode == "antialiased",
    )
    visible = projection.extents[..., 0] > 0
    camera_ids, gaussian_ids = visible.nonzero(as_tuple=True)
    means2d = projection.means2d
    if packed:
        means2d = means2d[camera_ids, gaussian_ids]
        projection = projection._replace(
            means2d=torch.zeros_like(projection.means2d).index_put((camera_ids, gaussian_ids), means2d)
        )

    if render_mode in ("D", "ED"):
        channels, backgrounds = colors.new_zeros(views, count, 0), None
    else:
        channels = projection.colours if sh_degree is not None else colors.expand(views, count, colors.shape[-1])
    rendering = composite(
        projection, channels, width, height, background=backgrounds, depth="D" in render_mode, absgrad=absgrad
    )
    if rendering.absgrad is not None:
        rendering.absgrad.register_hook(
            lambda grad: setattr(means2d, "absgrad", grad[camera_ids, gaussian_ids] if packed else grad)
        )

    image = rendering.rgb
    depth = rendering.expected_depth if "ED" in render_mode else rendering.accumulated_depth
    if depth is not None:
        image = torch.cat([image, depth[..., None]], dim=-1)
    meta = _meta(projection, rendering, means2d, (camera_ids, gaussian_ids) if packed else None, width, height)
    return image, rendering.alpha[..., None], meta


def _refuse(**used: bool) -> None:
    """Raises for the first argument that is used and not supported."""
    for name, is_used in used.items():
        if is_used:
            raise NotImplementedError(
                f"splat.compat.gsplat.rasterization does not support {name.replace('_', ' ')} "
                f"({name}=); leave it at its default, or use gsplat itself for this call"
            )


def _meta(
    projection: Projection,
    rendering: Rendering,
    means2d: Tensor,
    packed_ids: tuple[Tensor, Tensor] | None,
    width: int,
    height: int,
) -> dict[str, Any]:
    """gsplat's dictionary of intermediate results, packed or not."""
    views, count = projection.depths.shape
    columns, rows = -(-width // TILE_SIZE), -(-height // TILE_SIZE)
    offsets, flatten_ids = rendering.lists.offsets, rendering.lists.gaussian_ids
    radii = projection.extents.ceil().int()
    per_gaussian = torch.bincount(flatten_ids.long(), minlength=views * count).int()

    # gsplat's sort key: image and tile in the upper 32 bits, the bits of the depth in the lower.
    tile_bits = (rows * columns).bit_length()
    tile_of_list = torch.arange(views * rows * columns, device=offsets.device)
    image_tile = (tile_of_list // (rows * columns) << tile_bits) | tile_of_list % (rows * columns)
    upper = image_tile.repeat_interleave(offsets.diff())
    depth_bits = projection.depths.detach().flatten()[flatten_ids.long()].view(torch.int32).long()

    def pick(dense: Tensor) -> Tensor:
        return dense if packed_ids is None else dense[packed_ids]

    if packed_ids is None:
        batch_ids = camera_ids = gaussian_ids = None
    else:
        camera_ids, gaussian_ids = packed_ids
        batch_ids = torch.zeros_like(camera_ids)
        position = torch.zeros(views * count, dtype=torch.int32, device=flatten_ids.device)
        flat = camera_ids * count + gaussian_ids
        position[flat] = torch.arange(len(flat), dtype=torch.int32, device=flat.device)
        flatten_ids = position[flatten_ids.long()]
    return {
        "batch_ids": batch_ids,
        "camera_ids": camera_ids,
        "gaussian_ids": gaussian_ids,
        "radii": pick(radii),
        "means2d": means2d,
        "depths": pick(projection.depths),
        "conics": pick(projection.conics),
        "opacities": pick(projection.opacities),
        "tile_width": columns,
        "tile_height": rows,
        "tiles_per_gauss": pick(per_gaussian.view(views, count)),
        "isect_ids": (upper << 32) | depth_bits,
        "flatten_ids": flatten_ids,
        "isect_offsets": offsets[:-1].view(views, rows, columns).int(),
        "width": width,
        "height": height,
        "tile_size": TILE_SIZE,
        "n_batches": 1,
        "n_cameras": views,
    }
