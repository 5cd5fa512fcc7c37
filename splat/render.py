"""From Gaussians and cameras to images: the one way to get a picture, its steps in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

import torch
from torch import Tensor

from splat import checks
from splat.cameras import CAMERA_MODELS, Cameras
from splat.gaussians import Gaussians
from splat.ops.blend import blend
from splat.ops.project import Projection, project
from splat.ops.tiles import TileLists, tiles

#: How Gaussians get to the image: ewa, by the camera's Jacobian; unscented, by points of them; auto, unscented where
#: the lens bends and ewa elsewhere.
ProjectionMode = Literal["auto", "ewa", "unscented"]

#: Variance added to the projected covariance [px^2], and whether opacity is lowered to keep the splat's energy.
#: classic: Kerbl et al. 2023. antialiased: the same filter with compensation (gsplat). mip: Mip-Splatting's 2D filter.
ANTIALIAS = {"classic": (0.3, False), "antialiased": (0.3, True), "mip": (0.1, True)}


@dataclass
class Rendering:
    """What `render` returns. C cameras, N Gaussians, D channels, H x W pixels.

    Attributes:
        rgb: [C, H, W, D] composited colours (or features), not clamped.
        alpha: [C, H, W] accumulated opacity in [0, 1].
        accumulated_depth: [C, H, W] sum of blending weight times depth, or None when depth was not asked for.
        median_depth: [C, H, W] depth at which the transmittance falls below one half; 0 where it never does, or None.
        means2d: [C, N, 2] projected centres, px. Part of the graph: call `retain_grad()` for densification statistics.
        depths: [C, N] distance along the optical axis, world units.
        extents: [C, N, 2] half-sizes of the tight box around what is visible, px; 0 where a Gaussian was culled.
        conics: [C, N, 3] upper triangle of the inverse 2D covariances, 1/px^2.
        opacities: [C, N] opacities after the anti-aliasing compensation.
        lists: which Gaussians each tile blends, in depth order.
        absgrad: [C, N, 2] zeros whose `.grad`, after backward, is the sum over pixels of |d loss / d means2d|; or None.
    """

    rgb: Tensor
    alpha: Tensor
    accumulated_depth: Tensor | None
    median_depth: Tensor | None
    means2d: Tensor
    depths: Tensor
    extents: Tensor
    conics: Tensor
    opacities: Tensor
    lists: TileLists
    absgrad: Tensor | None

    @property
    def expected_depth(self) -> Tensor | None:
        """[C, H, W] accumulated depth over alpha: the mean depth of what covers the pixel; 0 where nothing does."""
        if self.accumulated_depth is None:
            return None
        return self.accumulated_depth / self.alpha.clamp(min=1e-10)

    @property
    def visible(self) -> Tensor:
        """[C, N] bool: Gaussians that were not culled."""
        return self.extents[..., 0] > 0


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    background: Tensor | None = None,
    features: Tensor | None = None,
    sh_degree: int | None = None,
    antialias: str | None = None,
    projection: ProjectionMode = "auto",
    near: float = 0.01,
    far: float = 1e10,
    depth: bool = False,
    absgrad: bool = False,
) -> Rendering:
    """Renders Gaussians by tile-based alpha blending, front to back.

    Differentiable in every Gaussian parameter, in `cameras.viewmats`, in `features` and in `background`.

    Args:
        gaussians: the scene, float32.
        cameras: C views of one size.
        background: [D] or [C, D] what shows through; black if None.
        features: [N, D] or [C, N, D] channels blended instead of the SH colours.
        sh_degree: highest SH degree to evaluate; the scene's own if None.
        antialias: "classic", "antialiased" or "mip" (see `ANTIALIAS`); the scene's own if None.
        projection: see `ProjectionMode`.
        near, far: Gaussians with depth outside (near, far) are culled. World units.
        depth: also compute accumulated (hence expected) and median depth.
        absgrad: also accumulate absolute screen-space gradients (AbsGS), found in `Rendering.absgrad.grad`.

    Raises:
        ValueError, TypeError: a shape, dtype or device disagrees; an unknown mode, or one that these cameras do not
            have; near <= 0.

    Source:
        Kerbl et al., "3D Gaussian Splatting", 2023; Zwicker et al., "EWA Splatting", 2002; Wu et al., "3DGUT", 2025.
        Differs: opacity-aware extents and exact tile lists, which leave the image unchanged.
    """
    checks.same_kind("means", gaussians.means, viewmats=cameras.viewmats, Ks=cameras.Ks)
    count, views = len(gaussians), len(cameras)
    if features is not None:
        checks.shape("features", features, (count, "D") if features.dim() < 3 else (views, count, "D"))
        checks.same_kind("means", gaussians.means, features=features)

    settings = projection_settings(
        gaussians, cameras, sh_degree=sh_degree, antialias=antialias, projection=projection, near=near, far=far
    )
    if features is not None:
        settings["sh_degree"] = -1
    projected = project(**gaussians.parameters(), viewmats=cameras.viewmats, Ks=cameras.Ks, **settings)
    colours = projected.colours if features is None else features.expand(views, count, features.shape[-1])
    return composite(
        projected, colours, cameras.width, cameras.height, background=background, depth=depth, absgrad=absgrad
    )


class ProjectionSettings(TypedDict):
    """What `project` is told of a scene and cameras beside their own tensors; its arguments' names."""

    width: int
    height: int
    sh_degree: int
    camera_model: int
    near: float
    far: float
    eps2d: float
    compensate: bool
    unscented: bool
    lenses: Tensor | None


def projection_settings(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    sh_degree: int | None = None,
    antialias: str | None = None,
    projection: ProjectionMode = "auto",
    near: float = 0.01,
    far: float = 1e10,
) -> ProjectionSettings:
    """From `render`'s arguments to those of `project`."""
    antialias = gaussians.antialias if antialias is None else antialias
    checks.one_of("antialias", antialias, list(ANTIALIAS))
    checks.one_of("projection", projection, get_args(ProjectionMode))
    if projection == "ewa" and cameras.distortion is not None:
        raise ValueError("projection 'ewa' has no lenses that bend; use 'unscented', or cameras without distortion")
    if projection == "unscented" and cameras.model == "ortho":
        raise ValueError("projection 'unscented' has no ortho cameras, for which 'ewa' is exact; use that")
    lenses = cameras.lenses
    eps2d, compensate = ANTIALIAS[antialias]
    return {
        "width": cameras.width,
        "height": cameras.height,
        "sh_degree": gaussians.sh_degree if sh_degree is None else min(sh_degree, gaussians.sh_degree),
        "camera_model": CAMERA_MODELS.index(cameras.model),
        "near": near,
        "far": far,
        "eps2d": eps2d,
        "compensate": compensate,
        "unscented": projection == "unscented" or lenses is not None,
        "lenses": lenses,
    }


def composite(
    projection: Projection,
    colours: Tensor,
    width: int,
    height: int,
    *,
    background: Tensor | None = None,
    depth: bool = False,
    absgrad: bool = False,
    bound: int | None = None,
) -> Rendering:
    """The second half of `render`: from projected Gaussians to an image.

    Args:
        projection: what `project` returned.
        colours: [C, N, D] channels to blend, D >= 0 (0 is useful with depth).
        width, height: image size, px.
        background, depth, absgrad: as for `render`.
        bound: how many instances there may be, as for `tiles`.
    """
    views, _, channels = colours.shape
    if background is not None:
        checks.same_kind("means2d", projection.means2d, background=background)
        background = background.expand(views, channels)
    if depth:
        colours = torch.cat([colours, projection.depths[..., None]], dim=-1)
        if background is not None:
            background = torch.cat([background, background.new_zeros(views, 1)], dim=-1)

    lists = tiles(
        projection.means2d,
        projection.conics,
        projection.depths,
        projection.opacities,
        projection.extents,
        width,
        height,
        bound=bound,
    )
    probe = torch.zeros_like(projection.means2d, requires_grad=True) if absgrad else None
    blended = blend(
        projection.means2d,
        projection.conics,
        projection.opacities,
        colours,
        background,
        lists,
        width,
        height,
        absgrad=probe,
        median=depth,
    )
    image = blended.image
    return Rendering(
        rgb=image[..., :channels] if depth else image,
        alpha=1 - blended.transmittances,
        accumulated_depth=image[..., channels] if depth else None,
        median_depth=_depth_of(blended.median_ids, projection.depths) if depth else None,
        means2d=projection.means2d,
        depths=projection.depths,
        extents=projection.extents,
        conics=projection.conics,
        opacities=projection.opacities,
        lists=lists,
        absgrad=probe,
    )


def _depth_of(ids: Tensor, depths: Tensor) -> Tensor:
    """[C, H, W] depths of the Gaussians named by flattened ids; 0 where the id is -1."""
    padded = torch.cat([depths.flatten(), depths.new_zeros(1)])
    return padded[torch.where(ids < 0, padded.numel() - 1, ids.long())]
