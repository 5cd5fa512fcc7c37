"""Cameras: a batch of views of one image size, and the paths a camera can fly."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from splat import checks, lens

CameraModel = Literal["pinhole", "ortho", "fisheye"]
#: The order is the number that the native ops take.
CAMERA_MODELS: tuple[CameraModel, ...] = ("pinhole", "ortho", "fisheye")


@dataclass
class Cameras:
    """C cameras that share an image size and a projection model.

    Attributes:
        viewmats: [C, 4, 4] camera from world; OpenCV axes (+x right, +y down, +z forward).
        Ks: [C, 3, 3] intrinsics, pixels; pixel centres are at half-integers.
        width, height: image size, pixels.
        model: "pinhole", "ortho" (Ks in pixels per world unit) or "fisheye" (OpenCV's equidistant).
        distortion: [C, D] coefficients of lenses that bend, in OpenCV's order: k1 k2 p1 p2, also with k3, or with
            k3 k4 k5 k6, for "pinhole"; k1 k2 k3 k4 for "fisheye". None: they do not bend.
    """

    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int
    model: CameraModel = "pinhole"
    distortion: Tensor | None = None

    def __post_init__(self) -> None:
        checks.cameras(self.viewmats, self.Ks, self.width, self.height)
        checks.one_of("model", self.model, CAMERA_MODELS)
        if self.distortion is not None:
            lens.check(self.distortion, len(self), self.model)
            checks.same_kind("viewmats", self.viewmats, distortion=self.distortion)

    def __len__(self) -> int:
        return self.viewmats.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> Cameras:
        """The cameras picked; an int gives a batch of one."""
        if isinstance(index, int):
            index = slice(index, index + 1 or None)
        distortion = None if self.distortion is None else self.distortion[index]
        return replace(self, viewmats=self.viewmats[index], Ks=self.Ks[index], distortion=distortion)

    @property
    def kind(self) -> tuple[int, int, str, int]:
        """What cameras of one batch have in common: width, height, model and number of distortion coefficients."""
        return self.width, self.height, self.model, 0 if self.distortion is None else self.distortion.shape[1]

    @property
    def positions(self) -> Tensor:
        """[C, 3] camera centres, world units."""
        rotation, translation = self.viewmats[:, :3, :3], self.viewmats[:, :3, 3]
        return -(rotation.transpose(1, 2) @ translation[..., None])[..., 0]

    @property
    def forwards(self) -> Tensor:
        """[C, 3] unit viewing directions in world axes."""
        return self.viewmats[:, 2, :3]

    @property
    def lenses(self) -> Tensor | None:
        """[C, 9] what `splat.ops.project.project` takes of lenses that bend; None if they do not."""
        return None if self.distortion is None else lens.lenses(self.distortion, self.model)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Cameras:
        names = ("viewmats", "Ks", "distortion")
        tensors = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(self, **{name: value.to(device=device, dtype=dtype) for name, value in tensors.items()})

    def resized(self, width: int, height: int) -> Cameras:
        """The same views at another image size; intrinsics follow each axis' actual ratio."""
        ratio = torch.tensor([[width / self.width], [height / self.height], [1.0]], dtype=self.Ks.dtype)
        return replace(self, Ks=self.Ks * ratio.to(self.Ks.device), width=width, height=height)

    def transform(self, similarity: Tensor) -> Cameras:
        """Moves the cameras along with a scene by `Gaussians.transform`; they see the same picture, depths scaled.

        Args:
            similarity: [4, 4], upper left 3x3 block s R with a rotation R and a scale s > 0.
        """
        matrix = similarity.to(device=self.viewmats.device, dtype=torch.float64)
        viewmats = self.viewmats.double() @ torch.linalg.inv(matrix)
        viewmats[:, :3] *= torch.linalg.det(matrix[:3, :3]) ** (1 / 3)
        return replace(self, viewmats=viewmats.to(self.viewmats.dtype))

    @staticmethod
    def concat(parts: list[Cameras]) -> Cameras:
        """One batch of views that share `kind`."""
        first = parts[0]
        if any(part.kind != first.kind for part in parts):
            raise ValueError("cameras of one batch must share width, height and model, and the kind of distortion")
        bent = [part.distortion for part in parts if part.distortion is not None]
        return replace(
            first,
            viewmats=torch.cat([p.viewmats for p in parts]),
            Ks=torch.cat([p.Ks for p in parts]),
            distortion=torch.cat(bent) if bent else None,
        )


def pixels(camera: Cameras, points: Tensor) -> Tensor:
    """Where a camera shows points.

    Args:
        camera: one.
        points: [P, 3] in the camera's own axes.

    Returns:
        [P, 2] px; NaN for what is behind the camera or outside the field of its lens.
    """
    K = camera.Ks[0]
    bent = points[:, :2]
    if camera.model != "ortho":
        slopes = bent / points[:, 2:]
        lenses = lens.STRAIGHT.to(points) if camera.lenses is None else camera.lenses[0]
        is_shown = (points[:, 2] > 0) & (slopes[:, 0].square() + slopes[:, 1].square() < lenses[8])
        bent = torch.where(is_shown[:, None], lens.bend(slopes, lenses, camera.model), math.nan)
    return torch.stack([K[0, 0] * bent[:, 0] + K[0, 2], K[1, 1] * bent[:, 1] + K[1, 2]], dim=1)


def moved(viewmat: Tensor, twist: Tensor) -> Tensor:
    """A camera that was turned about its centre and then displaced.

    Args:
        viewmat: [4, 4] float64.
        twist: [6] rotation vector, radians, and displacement, both along the world's axes; differentiable.

    Returns:
        [4, 4] its viewmat.
    """
    turned = viewmat[:3, :3] @ _rotation(twist[:3]).T
    centre = twist[3:] - viewmat[:3, :3].T @ viewmat[:3, 3]
    return torch.cat([torch.cat([turned, -(turned @ centre)[:, None]], dim=1), viewmat[3:]])


def _rotation(vector: Tensor) -> Tensor:
    """[3, 3] from a rotation vector [3], differentiable at zero, too (Rodrigues)."""
    # Its square is far below float64's resolution of 1, and keeps the root's derivative finite.
    angle = (vector @ vector + 1e-40).sqrt()
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    cross = torch.linalg.cross(identity, vector.expand(3, 3))
    half = angle / 2
    return identity + angle.sin() / angle * cross + 0.5 * (half.sin() / half) ** 2 * (cross @ cross)


def look_at(position: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """Camera-from-world matrices of cameras that look at a target.

    Args:
        position, target, up: [..., 3], world units; up need not be orthogonal to the view, only not parallel to it.

    Returns:
        [..., 4, 4], OpenCV axes.
    """
    position, target, up = torch.broadcast_tensors(position, target, up)
    forward = torch.nn.functional.normalize(target - position, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up, dim=-1), dim=-1)
    down = torch.linalg.cross(forward, right, dim=-1)
    rotation = torch.stack([right, down, forward], dim=-2)
    viewmat = torch.eye(4, dtype=position.dtype, device=position.device).expand(*position.shape[:-1], 4, 4).clone()
    viewmat[..., :3, :3] = rotation
    viewmat[..., :3, 3] = -(rotation @ position[..., None])[..., 0]
    return viewmat


def intrinsics(width: int, height: int, fov_y: float) -> Tensor:
    """[3, 3] of a centred pinhole camera with square pixels; fov_y is the full vertical angle, radians."""
    focal = 0.5 * height / math.tan(0.5 * fov_y)
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def focus_point(cameras: Cameras) -> Tensor:
    """[3]: the point closest, in least squares, to every optical axis: what the photographer circled around."""
    axes, centres = cameras.forwards.double(), cameras.positions.double()
    across = torch.eye(3, dtype=axes.dtype, device=axes.device) - axes[:, :, None] * axes[:, None, :]
    # The small ridge keeps parallel axes (a drone looking down) solvable; it pulls towards the mean camera.
    ridge = 1e-6 * torch.eye(3, dtype=axes.dtype, device=axes.device) * len(cameras)
    mean = centres.mean(0)
    offset = torch.linalg.solve(across.sum(0) + ridge, (across @ (centres - mean)[..., None]).sum(0))[:, 0]
    return (mean + offset).to(cameras.viewmats.dtype)


def orbit(cameras: Cameras, frames: int) -> Cameras:
    """A closed circle around what the given cameras look at, at their mean height, distance and field of view.

    Args:
        cameras: the training views, at least one. Where their lenses bend, those of the circle do not.
        frames: number of views on the circle.
    """
    target = focus_point(cameras)
    up = torch.nn.functional.normalize(-cameras.viewmats[:, 1, :3].mean(0), dim=0)
    offsets = cameras.positions - target
    heights = offsets @ up
    flat = offsets - heights[:, None] * up
    radius = flat.norm(dim=-1).mean().clamp(min=1e-6)
    # Start where the first camera stands; any direction across `up` will do if it stands on the axis.
    start = flat[0] if flat[0].norm() > 1e-6 * radius else cameras.viewmats[0, 0, :3]
    x = torch.nn.functional.normalize(start - (start @ up) * up, dim=0)
    y = torch.linalg.cross(up, x)
    angles = torch.arange(frames, dtype=x.dtype, device=x.device) * (2 * math.pi / frames)
    positions = target + heights.mean() * up + radius * (angles.cos()[:, None] * x + angles.sin()[:, None] * y)
    return Cameras(
        viewmats=look_at(positions, target, up),
        Ks=cameras.Ks.mean(0, keepdim=True).expand(frames, 3, 3).clone(),
        width=cameras.width,
        height=cameras.height,
        model=cameras.model,
    )
