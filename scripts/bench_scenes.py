"""Scenes that the benchmarks measure on: real points with made-up shapes, the same on every machine.

Data is found under $SPLAT_DATA: garden_points/garden.npz (points, colours and cameras of a real capture) and, where it
is there, the capture fox.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.gaussians import SH_C0, Gaussians
from splat.render import render


@dataclass(frozen=True)
class BenchScene:
    """One view of one scene.

    Attributes:
        target: [1, H, W, 3] uint8, a photo or what takes its place.
        seen: Gaussians that the camera sees.
    """

    name: str
    gaussians: Gaussians
    camera: Cameras
    target: Tensor
    seen: int


def data_folder() -> Path:
    folder = os.environ.get("SPLAT_DATA", "")
    if not (Path(folder) / "garden_points" / "garden.npz").is_file():
        raise SplatError(
            "SPLAT_DATA must name the folder with the benchmarks' data, garden_points/garden.npz in it; "
            f"it is {folder!r}"
        )
    return Path(folder)


@dataclass(frozen=True)
class Points:
    """Points of a real capture, of which scenes are made.

    Attributes:
        name: of the capture.
        positions, colors: [P, 3] float; colours in [0, 255].
        viewmat: [4, 4] of one of its cameras.
        K, width: [3, 3] of that camera, px, and the width of its image.
    """

    name: str
    positions: np.ndarray
    colors: np.ndarray
    viewmat: np.ndarray
    K: np.ndarray
    width: int

    def gaussians(self, count: int) -> Gaussians:
        """`count` Gaussians at the points: the same each time."""
        return _shaped(*_points(self.positions, self.colors, count))

    def camera(self, width: int, height: int) -> Cameras:
        """The capture's camera at another size."""
        K = self.K * (width / self.width)
        K[0, 2], K[1, 2], K[2, 2] = width / 2, height / 2, 1
        viewmats, Ks = (torch.from_numpy(matrix[None]).float() for matrix in (self.viewmat, K))
        return Cameras(viewmats, Ks, width, height)

    def scene(self, count: int) -> str:
        """What the scene of `count` Gaussians is called."""
        return f"{self.name}-{_short(count)}"


def garden_points(file: Path) -> Points:
    """The points in gsplat's assets/test_garden.npz."""
    capture = np.load(file)
    matrices = capture["viewmats"][0], capture["Ks"][0]
    return Points("garden", capture["means3d"], capture["colors"], *matrices, capture["width"])


def sample_points() -> Points:
    """The points of the bundled capture: few, but always there."""
    from splat.datasets import open_scene

    capture = open_scene(Path(__file__).resolve().parent.parent / "datasets" / "sample")
    camera = capture.views[capture.train[0]].camera
    matrices = camera.viewmats[0].numpy(), camera.Ks[0].numpy()
    return Points("sample", capture.points.numpy(), capture.point_colors.numpy(), *matrices, camera.width)


def garden(count: int, width: int, height: int) -> BenchScene:
    """`count` Gaussians at the points of a garden, seen by its first camera at another size."""
    points = garden_points(data_folder() / "garden_points" / "garden.npz")
    camera = points.camera(width, height)
    return with_target(f"{points.scene(count)} {width}x{height}", points.gaussians(count), camera)


def fox() -> BenchScene | None:
    """The start of a training on the capture fox at half size, against one of its photos; None where it is absent."""
    from splat.datasets import open_scene
    from splat.train.config import TrainConfig
    from splat.train.init import initial_gaussians

    folder = data_folder() / "fox"
    if not folder.is_dir():
        return None
    capture = open_scene(folder, downscale=2)
    view = capture.train[0]
    # Undistorting crops a few pixels, and the stated times are for the full size.
    camera = capture.views[view].camera.resized(360, 640)
    photo = F.interpolate(capture.image(view).permute(2, 0, 1)[None], size=(640, 360))
    gaussians = initial_gaussians(capture, TrainConfig(), torch.Generator().manual_seed(0))
    seen = int(render(gaussians, camera).visible.sum())
    return BenchScene("fox 360x640", gaussians, camera, photo.permute(0, 2, 3, 1).contiguous(), seen)


def _points(points: np.ndarray, colors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """`count` of the points at random; above their number, whole copies and a random rest, jittered."""
    random = np.random.default_rng(0)
    copies, rest = divmod(count, len(points))
    chosen = np.concatenate([np.tile(np.arange(len(points)), copies), random.permutation(len(points))[:rest]])
    picked = points[chosen].astype(np.float64)
    if copies:
        nearest = _neighbour_distances(points.astype(np.float64), 1)[:, 0][chosen]
        picked = picked + random.normal(size=picked.shape) * (0.5 * nearest)[:, None]
    return picked, colors[chosen], random


def _shaped(points: np.ndarray, colors: np.ndarray, random: np.random.Generator) -> Gaussians:
    """Gaussians as a trained scene has them: of the points' spacing, flat, turned at random, SH degree 3."""
    count = len(points)
    spacing = np.sqrt((_neighbour_distances(points, 3) ** 2).mean(1))
    log_scales = np.log(np.maximum(spacing, 1e-7))[:, None] + random.normal(0, 0.5, (count, 3)) - 0.35
    log_scales[np.arange(count), random.integers(0, 3, count)] -= 1.2
    quats = random.normal(size=(count, 4))
    opacity_logits = random.normal(0, 2, count)
    sh = random.normal(0, 0.05, (count, 16, 3))
    sh[:, 0] = (colors / 255 - 0.5) / SH_C0
    tensors = (points, quats, log_scales, opacity_logits, sh)
    return Gaussians(*(torch.from_numpy(tensor.astype(np.float32)) for tensor in tensors))


def _neighbour_distances(points: np.ndarray, neighbours: int) -> np.ndarray:
    """[N, neighbours] distances to the nearest other points."""
    from scipy.spatial import KDTree

    distances, _ = KDTree(points).query(points, k=neighbours + 1, workers=-1)
    return distances[:, 1:]


def with_target(name: str, gaussians: Gaussians, camera: Cameras) -> BenchScene:
    """The target is the render with noise, so that loss and gradients are those of a scene half trained."""
    with torch.no_grad():
        rendering = render(gaussians, camera)
    noise = 0.1 * torch.randn(rendering.rgb.shape, generator=torch.Generator().manual_seed(0))
    target = ((rendering.rgb + noise.to(rendering.rgb)).clamp(0, 1) * 255).to(torch.uint8)
    return BenchScene(name, gaussians, camera, target, int(rendering.visible.sum()))


def _short(count: int) -> str:
    return f"{count // 1_000_000}m" if count % 1_000_000 == 0 else f"{count // 1000}k"
