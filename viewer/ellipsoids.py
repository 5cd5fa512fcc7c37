"""Gaussians as what they are in space: opaque ellipsoids with a surface that the light falls on."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.ops.blend import blend
from splat.ops.project import project
from splat.ops.tiles import tiles
from splat.render import projection_settings
from splat.train.density.children import rotate

#: Half-axes, standard deviations. Fainter Gaussians than this opacity are not drawn, or they would hide the scene.
RADIUS, LEAST_OPACITY = 1.5, 0.1
#: Alpha is one half at the edge and falls by e to the power of twice this in a radius: crisp, but without steps.
EDGE = 20.0
#: Half-axes count as at least this share of the longest: a flat one still has a front.
FLATTEST = 0.02
#: Light from everywhere, and from a lamp at the camera.
AMBIENT = 0.45


def ellipsoids(
    gaussians: Gaussians, camera: Cameras, background: Tensor, near: float, sh_degree: int | None
) -> tuple[Tensor, int]:
    """[H, W, 3] the picture, and how many Gaussians are in it.

    The blend finds the ellipse of each on the image, in its colour, and which one is in front; where the ray through a
    pixel meets that one's surface gives the shade.

    Args:
        camera: a batch of one on the device of the scene. Lenses that bend are shaded as if they did not.
        background: [3] what shows beside them.
        near: Gaussians nearer are left out, scene units.
        sh_degree: as for `splat.render`.
    """
    solid = gaussians.parameters() | {"opacity_logits": torch.full_like(gaussians.opacity_logits, 10.0)}
    settings = projection_settings(gaussians, camera, sh_degree=sh_degree, near=near)
    projected = project(**solid, viewmats=camera.viewmats, Ks=camera.Ks, **settings)
    conics = projected.conics * (2 * EDGE / RADIUS**2)
    opacities = torch.full_like(projected.opacities, 0.5).mul_(torch.tensor(EDGE).exp())
    extents = projected.extents * (gaussians.opacities >= LEAST_OPACITY)[None, :, None]
    size = camera.width, camera.height
    lists = tiles(projected.means2d, conics, projected.depths, opacities, extents, *size)
    blended = blend(
        projected.means2d, conics, opacities, projected.colours, background[None], lists, *size, median=True
    )
    ids = blended.median_ids[0]
    shade = torch.ones(camera.height, camera.width, 1, device=ids.device)
    hit = ids >= 0
    shade[hit] = AMBIENT + (1 - AMBIENT) * _facing(gaussians, camera, ids[hit].long(), hit.nonzero())[:, None]
    return blended.image[0] * shade, int((extents[..., 0] > 0).sum())


def _facing(gaussians: Gaussians, camera: Cameras, ids: Tensor, pixels: Tensor) -> Tensor:
    """[P] cosine between the ray through each pixel and the surface it meets there.

    Args:
        ids: [P] whose surface.
        pixels: [P, 2] row and column.
    """
    viewmat, K = camera.viewmats[0], camera.Ks[0]
    centred = (pixels.flip(1) + 0.5 - K[:2, 2]) / K.diagonal()[:2]
    rays = torch.cat([centred, torch.ones_like(centred[:, :1])], dim=1) @ viewmat[:3, :3]
    # In coordinates in which the ellipsoid is the unit sphere.
    scales = RADIUS * gaussians.scales[ids]
    scales = torch.maximum(scales, FLATTEST * scales.max(1, keepdim=True).values)
    inverse = gaussians.quats[ids] * gaussians.quats.new_tensor([1.0, -1.0, -1.0, -1.0])
    middle = rotate(inverse, gaussians.means[ids] - camera.positions[0]) / scales
    ray = rotate(inverse, rays) / scales
    square, along = (ray * ray).sum(1), (ray * middle).sum(1)
    # Rays that pass by, since the image is filtered, touch it where they come nearest.
    root = (along**2 - square * ((middle * middle).sum(1) - 1)).clamp(min=0).sqrt()
    normal = rotate(gaussians.quats[ids], (((along - root) / square)[:, None] * ray - middle) / scales)
    cosine = -(normal * rays).sum(1) / (normal.norm(dim=1) * rays.norm(dim=1)).clamp(min=1e-12)
    return cosine.clamp(min=0)
