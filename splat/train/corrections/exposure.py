"""Exposure and white balance that changed between photos: an affine map of the colours for each.

Source:
    Kerbl et al., "A hierarchical 3D Gaussian representation for real-time rendering of very large datasets", 2024, and
    the exposure option of 3D Gaussian Splatting it led to. Differs: the matrices' mean stays the identity, each is
    moved in its own photo's turn only (`PerPhoto`), and clipping lets those gradients through that lead back inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splat.train.corrections.per_photo import PerPhoto, ordered_sum
from splat.train.corrections.protocol import Correction
from splat.train.frame import Frame

#: How far a number of a matrix may go in a run, and in one of its photo's turns.
REACH, MOST = 1.0, 0.05


class Exposure(Correction):
    """What a photo shows of colours c is A c + b, clipped to [0, 1], with a 3 x 4 matrix [A | b] for each photo.

    Args:
        views, photos: how many there are, and how many of them are trained on.
        iterations: length of the run.
    """

    name = "exposure"

    def __init__(self, views: int, photos: int, iterations: int, device: torch.device) -> None:
        self.matrices = PerPhoto(torch.eye(3, 4, device=device), views, photos, iterations, REACH, MOST)

    def image(self, view: int, rgb: Tensor) -> Tensor:
        return clipped(affine(rgb, self.matrices.ask(view)))

    def update(self, view: int, step: int, frame: Frame) -> None:
        self.matrices.move(view, step)

    def forget(self) -> None:
        self.matrices.forget()

    def state(self) -> dict[str, Tensor]:
        return self.matrices.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.matrices.restore(state)


def affine(rgb: Tensor, matrix: Tensor) -> Tensor:
    """[1, H, W, 3] the colours [1, H, W, 3] times a matrix [3, 4]; differentiable in both, the same bits for any number
    of threads."""
    return _Affine.apply(rgb, matrix)  # type: ignore[return-value]


def clipped(rgb: Tensor) -> Tensor:
    """Colours as a camera clips them to [0, 1]. Beyond, a gradient passes where it leads back inside: a photo's white
    may be of anything brighter, its grey may not."""
    return _Clipped.apply(rgb)  # type: ignore[return-value]


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rgb: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(rgb, matrix)
        r, g, b = rgb.unbind(-1)
        return torch.stack([row[0] * r + row[1] * g + row[2] * b + row[3] for row in matrix], dim=-1)

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor):
        (rgb, matrix), (v_mapped,) = ctx.saved_tensors, grad_outputs
        x, y, z = v_mapped.unbind(-1)
        v_rgb = torch.stack([matrix[0, i] * x + matrix[1, i] * y + matrix[2, i] * z for i in range(3)], dim=-1)
        v, c = (pixels.reshape(-1, 3).T.contiguous() for pixels in (v_mapped, rgb))
        v_matrix = [ordered_sum(v[:, None] * c), ordered_sum(v[:, None].clone())]
        return v_rgb, torch.cat(v_matrix, dim=1)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rgb: Tensor) -> Tensor:
        ctx.save_for_backward(rgb)
        return rgb.clamp(0, 1)

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor):
        (rgb,), (v_clipped,) = ctx.saved_tensors, grad_outputs
        outwards = ((rgb > 1) & (v_clipped < 0)) | ((rgb < 0) & (v_clipped > 0))
        return torch.where(outwards, 0.0, v_clipped)
