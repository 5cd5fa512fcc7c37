"""Lens distortion, OpenCV's: where a lens that bends shows a direction, and how far off its axis it shows any.

u, v are slopes: x / z and y / z of a direction in camera axes. A lens bends them, then pixel = (fx u + cx, fy v + cy).

Source: OpenCV's documentation of calib3d and of its fisheye module.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from splat import checks

#: How many coefficients each camera model may have: k1 k2 p1 p2 [k3 [k4 k5 k6]], and k1 k2 k3 k4 of a fisheye.
COEFFICIENTS = {"pinhole": (4, 5, 8), "fisheye": (4,)}
#: Angles off the axis at which a lens is looked at for the place where it folds back: so many, up to nearly 90 degrees.
ANGLES, LARGEST_ANGLE = 512, math.radians(89.9)
#: [9] one of `lenses` that does not bend.
STRAIGHT = torch.tensor([0.0] * 8 + [math.inf])


def check(distortion: Tensor, cameras: int, model: str) -> None:
    """Checks the coefficients [C, D] of cameras of a model.

    Raises:
        ValueError, TypeError: they are none of that model, or not numbers.
    """
    checks.shape("distortion", distortion, (cameras, "D"))
    if model not in COEFFICIENTS:
        raise ValueError(f"a camera of the model {model} has no distortion; leave it out")
    if distortion.shape[1] not in COEFFICIENTS[model]:
        allowed = " or ".join(map(str, COEFFICIENTS[model]))
        raise ValueError(f"distortion of a {model} camera must be {allowed} coefficients, got {distortion.shape[1]}")
    # On a GPU the question would have to be waited for; there NaN culls all that the camera sees.
    if not distortion.is_cuda and not distortion.isfinite().all():
        raise ValueError("distortion holds a number that is not finite")


def lenses(distortion: Tensor, model: str) -> Tensor:
    """What `project` takes of lenses.

    Args:
        distortion: [C, D] coefficients, see `COEFFICIENTS`.
        model: "pinhole" or "fisheye".

    Returns:
        [C, 9]: eight coefficients, zeros after those given, and the square of the slope at which the lens folds back,
            that is from where on pixels come nearer to the principal point again; infinite where it never does.
    """
    k = torch.nn.functional.pad(distortion, (0, 8 - distortion.shape[1]))
    one, zero = torch.ones_like(k[:, :1]), torch.zeros_like(k[:, :1])
    if model == "fisheye":
        top, bottom = torch.cat([one, k[:, :4]], dim=1), torch.cat([one, k[:, 4:]], dim=1)
    else:
        top, bottom = torch.cat([one, k[:, :2], k[:, 4:5], zero], dim=1), torch.cat([one, k[:, 5:], zero], dim=1)
    squares, steps, limits = _angles(model, k.device)
    # With r^2 = s: d(r top / bottom) / dr = ((top + 2 s top') bottom - 2 s bottom' top) / bottom^2. By Horner's rule.
    polynomials = torch.stack([top * (steps + 1), bottom, bottom * steps, top]).double()
    values = polynomials[..., 4, None]
    for n in (3, 2, 1, 0):
        values = values * squares + polynomials[..., n, None]
    rising, below, falling, above = values
    # A comparison with NaN is false. Beyond a pole the lens shows nothing.
    grows = (below > 0) & (rising * below > falling * above)
    return torch.cat([k, limits[grows.cumprod(1).sum(1)].to(k.dtype)[:, None]], dim=1)


@lru_cache(maxsize=8)
def _angles(model: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of the angles that are looked at: [ANGLES] squares of what the radial polynomials are in, a slope or a fisheye's
    angle; 0 2 4 6 8; and [ANGLES + 1] the square of the slope up to which a lens grows, by how many angles it does."""
    angle = torch.linspace(0, LARGEST_ANGLE, ANGLES, dtype=torch.float64, device=device)
    w = angle.tan().square()
    limits = torch.cat([w[:1], w[:-1], w.new_tensor([math.inf])])
    return angle.square() if model == "fisheye" else w, torch.arange(0, 10, 2, device=device), limits


def bend(slopes: Tensor, lens: Tensor, model: str) -> Tensor:
    """The bent slopes.

    Args:
        slopes: [..., 2] u and v.
        lens: [..., 9] of `lenses`, or of one lens [9].

    Returns:
        [..., 2]; where u^2 + v^2 is not below the lens' limit it means nothing.
    """
    u, v = slopes.unbind(-1)
    w = u * u + v * v
    if model == "fisheye":
        slope = w.sqrt()
        ratio = torch.where(slope > 1e-4, torch.atan(slope) / slope.clamp(min=1e-4), 1 - w / 3)
        factor = ratio * _radial(w * ratio.square(), lens, model)
        return torch.stack([u * factor, v * factor], dim=-1)
    factor, p1, p2 = _radial(w, lens, model), lens[..., 2], lens[..., 3]
    return torch.stack(
        [
            u * factor + 2 * p1 * u * v + p2 * (w + 2 * u * u),
            v * factor + 2 * p2 * u * v + p1 * (w + 2 * v * v),
        ],
        dim=-1,
    )


def _radial(s: Tensor, k: Tensor, model: str) -> Tensor:
    """The radial factor of s, the square of the slope, or of a fisheye's angle."""
    if model == "fisheye":
        k1, k2, k3, k4 = k[..., :4].unbind(-1)
        return 1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))
    k1, k2, _, _, k3, k4, k5, k6 = k[..., :8].unbind(-1)
    return (1 + s * (k1 + s * (k2 + s * k3))) / (1 + s * (k4 + s * (k5 + s * k6)))
