"""Camera paths by name, for `splat render`."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import torch

from splat.cameras import Cameras, intrinsics, look_at, orbit
from splat.cli.runs import CAMERAS
from splat.errors import SplatError
from splat.formats.cameras import NamedCamera, cameras_from, read_cameras, read_object
from splat.formats.flight import from_object
from splat.gaussians import Gaussians

#: Size and vertical field of view (radians) of pictures of a file that comes without cameras.
WIDTH, HEIGHT, FOV_Y = 960, 640, math.radians(45)
#: Pictures of a flight at most: an hour at 60 a second.
MOST_FRAMES = 216_000
#: Size of a flight's pictures, which itself has none.
FLIGHT_SIZE = 1920, 1080


def camera_path(name: str, scene: Path, gaussians: Gaussians, frames: int, fps: int) -> list[Cameras]:
    """The cameras of a path, each a batch of one, in the world of the scene file and on the CPU.

    Args:
        name: "orbit", "train", "test", or a JSON file: a flight as the viewer saves it, or cameras as `read_cameras`
            takes them.
        scene: the run's folder, or a scene file, which has an orbit only.
        frames: number of views on an orbit.
        fps: number of views on a second of a flight.

    Raises:
        SplatError: there is no such path here.
    """
    if name.endswith(".json"):
        return _from_file(Path(name), fps)
    if name not in ("orbit", "train", "test"):
        raise SplatError(f"--path {name} is not known: give orbit, train, test or a .json file of cameras.")
    file = scene / CAMERAS
    if not scene.is_dir() or not file.is_file():
        if name != "orbit":
            raise SplatError(f"{scene} comes without cameras, so it has no {name} views: give --path orbit, or a run.")
        return _singly(orbit(cameras_around(gaussians), frames))
    views = read_cameras(file)
    if name == "orbit":
        return _singly(orbit(_commonest(views_of(views, "train") or views_of(views, "")), frames))
    chosen = views_of(views, name)
    if not chosen:
        raise SplatError(f"{file} has no {name} views: give --path orbit or a .json file of cameras.")
    return chosen


def _from_file(path: Path, fps: int) -> list[Cameras]:
    values = read_object(path)
    if "keys" not in values:
        return [view.camera for view in cameras_from(values, path)]
    flight = from_object(values, str(path))
    if not flight.keys:
        raise SplatError(f"{path} is a flight without keys: add some in the viewer's Path tab.")
    count = flight.count(fps)
    if count > MOST_FRAMES:
        raise SplatError(f"{path} takes {count:,} pictures at {fps} a second, more than {MOST_FRAMES:,}: shorten it.")
    return list(flight.cameras(fps, *FLIGHT_SIZE))


def views_of(views: list[NamedCamera], split: str) -> list[Cameras]:
    """The cameras of one split, or of all for an empty one."""
    return [view.camera for view in views if not split or view.split == split]


def cameras_around(gaussians: Gaussians) -> Cameras:
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
    directions = torch.stack([angles.cos(), torch.full_like(angles, -0.35), angles.sin()], dim=-1)
    positions = centre + distance * torch.nn.functional.normalize(directions, dim=-1)
    viewmats = look_at(positions, centre, torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(viewmats, intrinsics(WIDTH, HEIGHT, FOV_Y).expand(8, 3, 3).clone(), WIDTH, HEIGHT)


def _commonest(cameras: list[Cameras]) -> Cameras:
    """One batch of the cameras whose size and model most of them share."""

    most = Counter(camera.kind for camera in cameras).most_common(1)[0][0]
    return Cameras.concat([camera for camera in cameras if camera.kind == most])


def _singly(cameras: Cameras) -> list[Cameras]:
    return [cameras[index] for index in range(len(cameras))]
