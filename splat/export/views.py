"""From where an export is judged, and from where its Gaussians are weighed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.errors import SplatError
from splat.evaluate.metrics import BLACK, photo
from splat.evaluate.orbits import orbit_around, orbit_of
from splat.flight import Flight
from splat.formats.cameras import NamedCamera, read_cameras
from splat.gaussians import Gaussians

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Views on an orbit that stands in for held-out views.
FRAMES = 12
#: Views on each orbit that stands in for training views, and from how far above the middle (tangents of angles).
RING, LIFTS = 8, (-0.35, 0.35, 1.2)


@dataclass(frozen=True)
class Views:
    """Views of a scene, each a batch of one, in the world of its file.

    Attributes:
        judged: from where the copy is compared with the original: held out from training, or on an orbit.
        trained: from where people will look, to weigh what matters: the training views, or orbits.
        has_cameras: whether the scene came with views, and `trained` are those.
        background: [3] what shows through.
        photos: the capture, if it is at hand: its photos by the views' names.
        notes: what was done without, a sentence each.
        flight: what a page flies until somebody touches it; None: it sways gently.
    """

    judged: list[NamedCamera]
    trained: list[NamedCamera]
    has_cameras: bool
    background: Tensor
    photos: Scene | None = None
    notes: list[str] = field(default_factory=list)
    flight: Flight | None = None

    @property
    def for_page(self) -> list[Cameras]:
        """The photos' cameras, from which a page takes its first view and what is up; none where there are none."""
        return [view.camera for view in self.trained] if self.has_cameras else []

    def photo(self, view: NamedCamera, device: torch.device) -> tuple[Tensor, Tensor | None] | None:
        """The photo [H, W, 3] in [0, 1] of a view, and the mask [H, W] of what counts in it; None if there is none."""
        if self.photos is None:
            return None
        index = next((index for index, other in enumerate(self.photos.views) if other.name == view.name), None)
        if index is None:
            return None
        image, mask = photo(self.photos, index, device), self.photos.mask(index)
        if image.shape[:2] != (view.camera.height, view.camera.width):
            return None
        return image, None if mask is None else mask.to(device)


def of_file(gaussians: Gaussians) -> Views:
    """Orbits around a scene that comes without cameras."""
    rings = [camera for lift in LIFTS for camera in orbit_around(gaussians, RING, lift)]
    return Views(_named(orbit_around(gaussians, FRAMES)), _named(rings), False, torch.tensor(BLACK))


def of_run(folder: Path, cameras: Path, capture: Path | None = None) -> Views:
    """The views of a run, with the photos where they are at hand.

    Args:
        folder: the run's.
        cameras: its cameras.json.
        capture: where the photos are now, if they were moved.

    Raises:
        SplatError: the run's files are damaged, or `capture` is none.
    """
    from splat.train.run import load_background, load_config, load_source, open_capture

    views = read_cameras(cameras)
    trained = [view for view in views if view.split == "train"] or views
    judged, notes = [view for view in views if view.split == "test"], []
    if not judged:
        judged = _named(orbit_of(views, FRAMES))
        notes.append(f"{folder} held no photos out, so an orbit is compared")
    photos, source = None, capture or load_source(folder)
    try:
        photos = open_capture(source, load_config(folder))
    except SplatError as error:
        if capture is not None:
            raise
        notes.append(f"Without the photos of the run, the copy is compared with the original alone ({error})")
    return Views(judged, trained, True, torch.tensor(load_background(folder)), photos, notes)


def shrunk(view: NamedCamera, pixels: int) -> NamedCamera:
    """A view of so many pixels at most, in the same proportions."""
    camera = view.camera
    factor = (pixels / (camera.width * camera.height)) ** 0.5
    if factor >= 1:
        return view
    small = camera.resized(max(1, round(factor * camera.width)), max(1, round(factor * camera.height)))
    return dataclasses.replace(view, camera=small)


def some(views: list[NamedCamera], count: int) -> list[NamedCamera]:
    """So many of the views at most, evenly chosen."""
    if len(views) <= count:
        return views
    return [views[index * len(views) // count] for index in range(count)]


def _named(cameras: list[Cameras]) -> list[NamedCamera]:
    return [NamedCamera(f"orbit {index:02d}", camera, "") for index, camera in enumerate(cameras)]
