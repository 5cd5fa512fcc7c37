"""A capture of a made-up scene, on disk as a user's would be, small enough to train in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from splat.cameras import Cameras, intrinsics, look_at
from splat.gaussians import SH_C0, Gaussians
from splat.render import render

WIDTH, HEIGHT, VIEWS = 64, 48, 10
WORLD_FROM_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))


def made_up_scene() -> Gaussians:
    """Sixty opaque blobs in a ball, of many colours."""
    generator = torch.Generator().manual_seed(7)
    count = 60
    sh = torch.zeros(count, 1, 3)
    sh[:, 0] = (torch.rand(count, 3, generator=generator) - 0.5) / SH_C0
    return Gaussians(
        means=torch.rand(count, 3, generator=generator) - 0.5,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=torch.rand(count, 3, generator=generator) - 3,
        opacity_logits=torch.full((count,), 3.0),
        sh=sh,
    )


def circle_of_cameras(views: int = VIEWS) -> Cameras:
    angles = torch.arange(views) * (2 * torch.pi / views)
    positions = torch.stack([2 * angles.cos(), -0.6 + 0.1 * angles.sin(), 2 * angles.sin()], dim=1)
    viewmats = look_at(positions, torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(viewmats, intrinsics(WIDTH, HEIGHT, 0.8).expand(views, 3, 3).contiguous(), WIDTH, HEIGHT)


def write_capture(folder: Path, views: int = VIEWS) -> Path:
    """images/, transforms.json and points.ply, the points being the blobs' own centres and as many others."""
    from PIL import Image
    from plyfile import PlyData, PlyElement

    truth, cameras = made_up_scene(), circle_of_cameras(views)
    images = (render(truth, cameras).rgb.clamp(0, 1) * 255).round().byte().numpy()
    (folder / "images").mkdir(parents=True)
    frames = []
    for number, image in enumerate(images):
        name = f"images/{number:02d}.png"
        Image.fromarray(image).save(folder / name)
        pose = torch.linalg.inv(cameras.viewmats[number]) @ WORLD_FROM_OPENGL
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    K = cameras.Ks[0]
    lens = {"fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]), "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
    content = {**lens, "camera_model": "PINHOLE", "ply_file_path": "points.ply", "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))
    generator = np.random.default_rng(0)
    points = np.concatenate([truth.means.numpy(), generator.uniform(-0.5, 0.5, (60, 3))])
    columns = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    table = np.zeros(len(points), dtype=columns)
    for axis, name in enumerate("xyz"):
        table[name] = points[:, axis]
    for name in ("red", "green", "blue"):
        table[name] = generator.integers(0, 255, len(points))
    PlyData([PlyElement.describe(table, "vertex")]).write(str(folder / "points.ply"))
    return folder
