"""Camera paths by name, for `splat render`."""

from __future__ import annotations

from pathlib import Path

from splat.cameras import Cameras
from splat.cli.runs import CAMERAS
from splat.errors import SplatError
from splat.evaluate.orbits import orbit_around, orbit_of
from splat.formats.cameras import cameras_from, read_cameras, read_object
from splat.formats.flight import from_object
from splat.gaussians import Gaussians

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
        return orbit_around(gaussians, frames)
    views = read_cameras(file)
    if name == "orbit":
        return orbit_of(views, frames)
    chosen = [view.camera for view in views if view.split == name]
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
