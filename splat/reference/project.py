"""Projection of Gaussians to the image planes of cameras, in plain torch: any dtype, differentiated by autograd.

C cameras, N Gaussians, K coefficients. P is the number of visible (camera, Gaussian) pairs: what is culled is found
first, without gradients, so that neither its values nor its gradients can spoil the others'.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from splat.cameras import CAMERA_MODELS, CameraModel
from splat.reference import constants
from splat.reference.sh import sh_colours
from splat.reference.unscented import unscented as unscented_transform


def project(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    sh: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int,
    camera_model: int,
    near: float,
    far: float,
    eps2d: float,
    compensate: bool,
    unscented: bool = False,
    filters: Tensor | None = None,
    lenses: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The fields of `splat.ops.project.Projection`, in order; see `splat.ops.project.project` for the arguments."""

    def pairs(camera: Tensor, gaussian: Tensor) -> tuple[Tensor, ...]:
        R, t, K = viewmats[camera, :3, :3], viewmats[camera, :3, 3], Ks[camera]
        mean = means[gaussian]
        point = (R @ mean[..., None])[..., 0] + t
        scales, opacity = log_scales[gaussian].exp(), opacity_logits[gaussian].sigmoid()
        if filters is not None:
            own = scales.square()
            whole = own + filters[gaussian, None].square()
            scales, opacity = whole.sqrt(), opacity * (own / whole).prod(-1).sqrt()
        axes = R @ rotation_matrices(quats[gaussian]) * scales[..., None, :]
        model = CAMERA_MODELS[camera_model]
        if unscented:
            lens = K.new_tensor([0.0] * 8 + [math.inf]).expand(len(K), 9) if lenses is None else lenses[camera]
            mean2d, squares, in_view = unscented_transform(point, axes, K, lens, model, width, height)
            det0 = squares[:, 0, 0] * squares[:, 1, 1] - squares[:, 0, 1].square()
        else:
            # Sigma_2 = T T^T + eps I. The 2x2 minors of T give its determinant without cancellation (Cauchy-Binet).
            mean2d, jacobian = camera_function(model)(point, K, width, height)
            T = jacobian @ axes
            squares = (T[:, :, None] * T[:, None, :]).sum(-1)
            det0 = torch.linalg.cross(T[:, 0], T[:, 1]).square().sum(-1)
            in_view = torch.ones_like(opacity, dtype=torch.bool)
        det = det0 + eps2d * (squares[:, 0, 0] + squares[:, 1, 1]) + eps2d**2
        a, b, c = squares[:, 0, 0] + eps2d, squares[:, 0, 1], squares[:, 1, 1] + eps2d
        conic = torch.stack([c / det, -b / det, a / det], dim=-1)
        if compensate:
            opacity = opacity * (det0 / det).clamp(min=constants.COMPENSATION_MIN**2).sqrt()
        reach = 2 * (opacity.detach() / constants.ALPHA_MIN).log()
        extent = (reach[:, None] * torch.stack([a, c], dim=-1).detach()).sqrt()
        colour = mean.new_zeros(len(mean), 0)
        if sh_degree >= 0:
            direction = mean + (R.transpose(1, 2) @ t[..., None])[..., 0]
            length = direction.square().sum(-1, keepdim=True).clamp(min=constants.DIRECTION_MIN).sqrt()
            colour = sh_colours(sh[gaussian], direction / length, sh_degree)
        return mean2d, point[:, 2], conic, opacity, extent, colour, det, in_view

    cameras, count = viewmats.shape[0], means.shape[0]
    with torch.no_grad():
        camera, gaussian = torch.cartesian_prod(torch.arange(cameras), torch.arange(count)).reshape(-1, 2).unbind(-1)
        mean2d, depth, conic, opacity, extent, colour, det, in_view = pairs(camera, gaussian)
        size = torch.tensor([width, height], dtype=mean2d.dtype)
        visible = in_view & (depth > near) & (depth < far)
        visible &= (det > constants.DET_MIN) & (opacity >= constants.ALPHA_MIN)
        squared_length = quats[gaussian].square().sum(-1)
        visible &= (squared_length > constants.QUAT_NORM_MIN) & squared_length.isfinite()
        visible &= ((mean2d + extent > 0) & (mean2d - extent < size)).all(-1)
        # What overflowed or is NaN anywhere is culled too.
        visible &= torch.cat([mean2d, conic, extent, colour, det[:, None]], dim=-1).isfinite().all(-1)
        camera, gaussian = camera[visible], gaussian[visible]

    mean2d, depth, conic, opacity, extent, colour, *_ = pairs(camera, gaussian)
    outputs = []
    for values in (mean2d, depth, conic, opacity, extent, colour.clamp(min=0)):
        zeros = values.new_zeros(cameras, count, *values.shape[1:])
        outputs.append(zeros.index_put((camera, gaussian), values))
    return tuple(outputs)


def rotation_matrices(quats: Tensor) -> Tensor:
    """[P, 3, 3] rotations of [P, 4] quaternions, wxyz, of any length but zero."""
    length = quats.square().sum(-1, keepdim=True).clamp(min=constants.QUAT_NORM_MIN).sqrt()
    w, x, y, z = (quats / length).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def camera_function(model: CameraModel) -> Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]]:
    """The map of a camera model: (points [P, 3], K [P, 3, 3], width, height) -> pixels [P, 2], Jacobian [P, 2, 3]."""
    return {"pinhole": _pinhole, "ortho": _ortho, "fisheye": _fisheye}[model]


def _pinhole(point: Tensor, K: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Far outside the image the Jacobian's slope is held fixed, lest it explode."""
    x, y, z = point.unbind(-1)
    fx, fy, cx, cy = _intrinsics(K)
    margin_x, margin_y = constants.CLAMP_MARGIN * width, constants.CLAMP_MARGIN * height
    slope_x = torch.clamp(x / z, (-margin_x - cx) / fx, (width + margin_x - cx) / fx)
    slope_y = torch.clamp(y / z, (-margin_y - cy) / fy, (height + margin_y - cy) / fy)
    mean2d = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    return mean2d, _matrix(fx / z, 0 * z, -fx * slope_x / z, 0 * z, fy / z, -fy * slope_y / z)


def _ortho(point: Tensor, K: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    x, y, z = point.unbind(-1)
    fx, fy, cx, cy = _intrinsics(K)
    zero = torch.zeros_like(z)
    return torch.stack([fx * x + cx, fy * y + cy], dim=-1), _matrix(fx, zero, zero, zero, fy, zero)


def _fisheye(point: Tensor, K: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Equidistant: the distance from the principal point is focal length times the angle from the axis.

    With slopes u = x / z, v = y / z and w = u^2 + v^2, the pixel is f(w) (fx u, fy v), f(w) = atan(sqrt(w)) / sqrt(w).
    """
    x, y, z = point.unbind(-1)
    fx, fy, cx, cy = _intrinsics(K)
    u, v = x / z, y / z
    w = u * u + v * v
    f, df = _angle_ratio(w)
    mean2d = torch.stack([fx * u * f + cx, fy * v * f + cy], dim=-1)
    along_z, cross = 1 / (1 + w), 2 * u * v * df
    row_x = [fx / z * (f + 2 * u * u * df), fx / z * cross, -fx / z * u * along_z]
    row_y = [fy / z * cross, fy / z * (f + 2 * v * v * df), -fy / z * v * along_z]
    return mean2d, _matrix(*row_x, *row_y)


def _angle_ratio(w: Tensor) -> tuple[Tensor, Tensor]:
    """f(w) = atan(sqrt(w)) / sqrt(w) and its derivative; the closed form cancels near 0, so there a series stands."""
    near_axis = w < 0.1
    small, large = torch.where(near_axis, w, 0.0), torch.where(near_axis, 1.0, w)
    powers = [(-1) ** n / (2 * n + 1) for n in range(16)]
    f_series = sum(factor * small**n for n, factor in enumerate(powers))
    df_series = sum(n * factor * small ** (n - 1) for n, factor in enumerate(powers) if n > 0)
    f = torch.atan(large.sqrt()) / large.sqrt()
    df = (1 / (1 + large) - f) / (2 * large)
    return torch.where(near_axis, f_series, f), torch.where(near_axis, df_series, df)


def _intrinsics(K: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]


def _matrix(*entries: Tensor) -> Tensor:
    """[P, 2, 3] from six [P] in reading order."""
    return torch.stack(entries, dim=-1).unflatten(-1, (2, 3))
