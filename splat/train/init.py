"""The Gaussians that training starts from: one per reconstructed point, and random ones where there are too few."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from splat.cameras import Cameras, focus_point, pixels
from splat.errors import SplatError
from splat.gaussians import SH_C0, Gaussians
from splat.train.sky import sky_points

if TYPE_CHECKING:
    from splat.datasets.scene import Scene
    from splat.train.config import TrainConfig

#: Points nearer to a camera centre than this share of the extent are mistakes of the reconstruction.
CAMERA_DISTANCE = 1e-2
#: Smallest initial standard deviation, as a share of the extent.
LEAST_SCALE = 1e-5
#: Of the colours' coefficients, by config.sh_bits.
SH_DTYPES = {32: torch.float32, 16: torch.bfloat16}


def initial_gaussians(scene: Scene, config: TrainConfig, generator: torch.Generator) -> Gaussians:
    """Small isotropic Gaussians at the scene's points, on the CPU, at most `config.max_gaussians`.

    Points that are not finite, that coincide with one another or with a camera are left out.

    Raises:
        SplatError: there is no view to train on.

    Source:
        Kerbl et al., "3D Gaussian Splatting", 2023: scale from the distances to the three nearest points, opacity 0.1.
    """
    if not scene.train:
        raise SplatError(f"{scene.source} has no photo left to train on; hold out fewer")
    start = config.init
    points, colors = _usable_points(scene)
    if len(points) < start.few_points:
        drawn, drawn_colors = _random_points(scene, start.random_points, generator)
        points, colors = torch.cat([points, drawn]), torch.cat([colors, drawn_colors])
    dome, dome_colors, dome_scale = sky_points(scene, min(start.sky, config.max_gaussians // 2))
    room = config.max_gaussians - len(dome)
    if len(points) > room:
        chosen = torch.randperm(len(points), generator=generator)[:room].sort().values
        points, colors = points[chosen], colors[chosen]
    scales = torch.cat([_spacing(points, LEAST_SCALE * scene.extent), torch.full((len(dome),), dome_scale)])
    points, colors = torch.cat([points, dome]), torch.cat([colors, dome_colors])
    count = len(points)
    sh = torch.zeros(count, (config.sh_degree + 1) ** 2, 3, dtype=SH_DTYPES[config.sh_bits])
    sh[:, 0] = (colors.float() / 255 - 0.5) / SH_C0
    return Gaussians(
        means=points,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=scales.log()[:, None].repeat(1, 3),
        opacity_logits=torch.full((count,), math.log(start.opacity / (1 - start.opacity))),
        sh=sh,
    )


def _usable_points(scene: Scene) -> tuple[Tensor, Tensor]:
    """Points [P, 3] float32 and colours [P, 3] uint8 of the scene, in its order."""
    from scipy.spatial import KDTree

    points = scene.points.numpy().astype(np.float32)
    _, first = np.unique(points, axis=0, return_index=True)
    kept = np.zeros(len(points), dtype=bool)
    kept[first] = True
    kept &= np.isfinite(points).all(axis=1)
    if kept.any():
        centres = torch.cat([view.camera.positions for view in scene.views]).numpy()
        distance, _ = KDTree(centres).query(np.where(kept[:, None], points, 0))
        kept &= distance > CAMERA_DISTANCE * scene.extent
    chosen = torch.from_numpy(kept)
    return torch.from_numpy(points)[chosen], scene.point_colors[chosen]


def _spacing(points: Tensor, least: float) -> Tensor:
    """[P] root mean square distance to the three nearest other points, world units."""
    from scipy.spatial import KDTree

    neighbours = min(4, len(points))
    if neighbours < 2:  # noqa: PLR2004
        return torch.full((len(points),), 100 * least)
    # One worker: the distances are the same for any number, the tree's threads would only disturb the others.
    distances, _ = KDTree(points.numpy()).query(points.numpy(), k=neighbours, workers=1)
    rms = np.sqrt(np.square(distances[:, 1:]).mean(axis=1))
    return torch.from_numpy(rms).float().clamp(min=least)


def _random_points(scene: Scene, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points inside the training views' frustums, coloured by the pixel they were drawn through.

    Twice as many are drawn, at depths around what the cameras look at; the half that more views see is kept, since
    that is where the views overlap.
    """
    chosen = torch.tensor(scene.train)[torch.randint(len(scene.train), (2 * count,), generator=generator)]
    uniform = torch.rand(2 * count, 3, generator=generator)
    poses = torch.cat([scene.views[i].camera.viewmats for i in scene.train])
    centre = focus_point(Cameras(poses, torch.eye(3).expand(len(poses), 3, 3), 1, 1))
    points, colors = torch.empty(2 * count, 3), torch.empty(2 * count, 3, dtype=torch.uint8)
    for index in scene.train:
        rows = (chosen == index).nonzero()[:, 0]
        camera, u = scene.views[index].camera, uniform[rows]
        reach = max(float((centre - camera.positions[0]).norm()), 0.1 * scene.extent)
        depth = reach * (0.2 + 1.6 * u[:, 2])
        pixel = u[:, :2] * torch.tensor([camera.width, camera.height])
        ray = _multiply(torch.linalg.inv(camera.Ks[0]), torch.cat([pixel, torch.ones(len(rows), 1)], dim=1))
        points[rows] = _multiply(camera.viewmats[0, :3, :3].T, ray * depth[:, None] - camera.viewmats[0, :3, 3])
        if camera.distortion is not None:  # The ray was that of a straight lens: the point is seen beside it.
            pixel = pixels(camera, ray * depth[:, None]).nan_to_num(0.0).clamp(min=0.0)
        column, row = pixel.long().unbind(1)
        colors[rows] = scene.image(index)[row.clamp(max=camera.height - 1), column.clamp(max=camera.width - 1)]
    seen = torch.zeros(2 * count, dtype=torch.int32)
    for index in scene.train:
        seen += _inside(points, scene.views[index].camera)
    kept = seen.sort(descending=True, stable=True).indices[:count].sort().values
    return points[kept], colors[kept]


def _inside(points: Tensor, camera: Cameras) -> Tensor:
    """[P] bool: which points a camera sees."""
    pixel = pixels(camera, _multiply(camera.viewmats[0, :3, :3], points) + camera.viewmats[0, :3, 3])
    return ((pixel >= 0) & (pixel < torch.tensor([camera.width, camera.height]))).all(dim=1)


def _multiply(matrix: Tensor, vectors: Tensor) -> Tensor:
    """[P, 3]: a [3, 3] matrix times each vector, written out: a matrix product may round by the number of threads."""
    x, y, z = vectors.unbind(1)
    return torch.stack([row[0] * x + row[1] * y + row[2] * z for row in matrix], dim=1)
