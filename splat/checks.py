"""Shapes, dtypes and devices: the one place where a user's mistake is phrased.

Every check raises ValueError or TypeError with the argument's name, what was expected (sizes by name) and what came.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def shape(name: str, tensor: Tensor, expected: Sequence[str | int], sizes: dict[str, int] | None = None) -> None:
    """Checks a tensor's shape against sizes by number or by name.

    Args:
        name: the argument's name, for the message.
        expected: e.g. ("N", 3). A name is bound to its size on first use and compared from then on.
        sizes: the sizes bound so far; shared between the checks of one call.
    """
    sizes = {} if sizes is None else sizes
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
    wanted = [sizes.get(size, size) if isinstance(size, str) else size for size in expected]
    matches = len(wanted) == tensor.dim() and all(
        isinstance(want, str) or want == got for want, got in zip(wanted, tensor.shape, strict=True)
    )
    if not matches:
        known = ", ".join(f"{key} = {value}" for key, value in sizes.items() if key in expected)
        raise ValueError(
            f"{name} must be [{', '.join(map(str, expected))}]{f' with {known}' if known else ''}, "
            f"got {list(tensor.shape)}"
        )
    sizes.update({want: got for want, got in zip(wanted, tensor.shape, strict=True) if isinstance(want, str)})


def same_kind(reference_name: str, reference: Tensor, **tensors: Tensor) -> None:
    """Checks that tensors share the dtype and device of a reference; the dtype is floating point."""
    if not reference.is_floating_point():
        raise TypeError(f"{reference_name} must be floating point, got {reference.dtype}")
    for name, tensor in tensors.items():
        if tensor.dtype != reference.dtype:
            raise TypeError(f"{name} must be {reference.dtype} like {reference_name}, got {tensor.dtype}")
    same_device(reference_name, reference, **tensors)


def same_device(reference_name: str, reference: Tensor, **tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if tensor.device != reference.device:
            raise ValueError(f"{name} must be on {reference.device} like {reference_name}, got {tensor.device}")


def float32(**tensors: Tensor) -> None:
    """Checks the dtype that the native kernels take."""
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise TypeError(f"{name} must be torch.float32, got {tensor.dtype}; convert it with {name}.float()")


def positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def sh_degree(name: str, coefficients: int) -> int:
    """The degree d of (d + 1)^2 coefficients, 0 <= d <= 4."""
    for degree in range(5):
        if (degree + 1) ** 2 == coefficients:
            return degree
    raise ValueError(f"{name} must hold 1, 4, 9, 16 or 25 coefficients (degree 0 to 4), got {coefficients}")


def gaussians(means: Tensor, quats: Tensor, log_scales: Tensor, opacity_logits: Tensor, sh: Tensor) -> None:
    """Checks the five tensors of a scene; sh may be bfloat16 beside others in float32."""
    sizes: dict[str, int] = {}
    shape("means", means, ("N", 3), sizes)
    shape("quats", quats, ("N", 4), sizes)
    shape("log_scales", log_scales, ("N", 3), sizes)
    shape("opacity_logits", opacity_logits, ("N",), sizes)
    shape("sh", sh, ("N", "K", 3), sizes)
    sh_degree("sh", sh.shape[1])
    same_kind("means", means, quats=quats, log_scales=log_scales, opacity_logits=opacity_logits)
    if sh.dtype == torch.bfloat16 and means.dtype == torch.float32:
        same_device("means", means, sh=sh)
    else:
        same_kind("means", means, sh=sh)


def cameras(viewmats: Tensor, Ks: Tensor, width: int, height: int) -> None:
    """Checks a batch of cameras of one image size."""
    sizes: dict[str, int] = {}
    shape("viewmats", viewmats, ("C", 4, 4), sizes)
    shape("Ks", Ks, ("C", 3, 3), sizes)
    same_kind("viewmats", viewmats, Ks=Ks)
    positive(width=width, height=height)
