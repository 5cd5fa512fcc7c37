"""Circles around a scene, for those who have no better views of it."""

from __future__ import annotations

import math
from collections import Counter

import torch

from splat.cameras import Cameras, intrinsics, look_at, orbit
from splat.errors import SplatError
from splat.formats.cameras import NamedCamera
from splat.gaussians import Gaussians

#: Size and vertical field of view (radians) of pictures of a file that comes without cameras.
WIDTH, HEIGHT, FOV_Y = 960, 640, math.radians(45)
#: How far above its middle a scene is looked at from: the tangent of the angle.
LIFT = 0.35


def orbit_of(views: list[NamedCamera], frames: int) -> list[Cameras]:
    """An orbit around what the training views show (all of them where none is marked so), as batches of one."""
    cameras = [view.camera for view in views if view.split == "train"] or [view.camera for view in views]
    # Those of the size and the model that most of them share.
    most = Counter(camera.kind for camera in cameras).most_common(1)[0][0]
    return _singly(orbit(Cameras.concat([camera for camera in cameras if camera.kind == most]), frames))


def orbit_around(gaussians: Gaussians, frames: int, lift: float = LIFT) -> list[Cameras]:
    """An orbit around a scene that comes without cameras, as batches of one on the CPU; see `cameras_around`."""
    return _singly(orbit(cameras_around(gaussians, lift), frames))


def cameras_around(gaussians: Gaussians, lift: float = LIFT) -> Cameras:
    """Eight cameras around a scene that comes without any; its -y is taken for up, as COLMAP's worlds roughly have it.

    The distance shows the inner nine tenths of the Gaussians, by distance from their median: trained scenes have far
    strays.

    Raises:
        SplatError: the scene is empty.
    """
    if not len(gaussians):
        raise SplatError("The scene holds no Gaussians, so there is nothing to fly around.")
    means = gaussians.means.cpu()
    centre = means.median(0).values
    distances = torch.linalg.vector_norm(means - centre, dim=-1)
    radius = distances.kthvalue(1 + int(0.9 * (len(gaussians) - 1))).values.clamp(min=1e-3)
    distance = 1.2 * radius / math.sin(FOV_Y / 2)
    angles = torch.arange(8) * (2 * math.pi / 8)
    directions = torch.stack([angles.cos(), torch.full_like(angles, -lift), angles.sin()], dim=-1)
    positions = centre + distance * torch.nn.functional.normalize(directions, dim=-1)
    viewmats = look_at(positions, centre, torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(viewmats, intrinsics(WIDTH, HEIGHT, FOV_Y).expand(8, 3, 3).clone(), WIDTH, HEIGHT)


def _singly(cameras: Cameras) -> list[Cameras]:
    """Batches of one."""
    return [cameras[index] for index in range(len(cameras))]
