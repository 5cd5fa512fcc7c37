"""Photos that a phone lightened in parts: a bilateral grid of affine colour maps for each.

Source:
    Wang et al., "Bilateral guided radiance field processing", 2024, section 3.2. Differs: the grids' mean stays the
    identity, each is moved in its own photo's turn only, by rates that fall from the first step on (`PerPhoto`), and
    clipping lets those gradients through that lead back inside.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from splat.render import Rendering
from splat.train.corrections import exposure
from splat.train.corrections.exposure import clipped
from splat.train.corrections.per_photo import PerPhoto
from splat.train.corrections.protocol import Correction
from splat.train.frame import Frame

#: Cells of a grid: across the photo, down the photo, from black to white.
ACROSS, DOWN, LEVELS = 16, 16, 8
#: How far a number of a grid may go beside the one matrix in a run, and in one of the photo's turns: faster, and
#: the grids learn what the scene should.
REACH, MOST = 0.3, 0.003
#: Weight of the grid's total variation in the loss.
VARIATION = 10.0
#: Brightness of a colour, by which a pixel finds its level.
LUMA = (0.299, 0.587, 0.114)


class BilateralGrids(Correction):
    """What a photo shows of colours c at (x, y) is A c + b, clipped to [0, 1], with [A | b] interpolated between the
    nearest eight of the photo's own grid, in x, in y and in the brightness of c.

    A grid is learned as one matrix, as in `Exposure`, and what each cell adds to it: thousands of cells agree slowly.

    Args:
        views, photos: how many there are, and how many of them are trained on.
        iterations: length of the run.
    """

    name = "bilateral"

    def __init__(self, views: int, photos: int, iterations: int, device: torch.device) -> None:
        identity = torch.eye(3, 4, device=device).reshape(12, 1, 1, 1).repeat(1, LEVELS, DOWN, ACROSS)
        turns = (views, photos, iterations)
        self.matrices = PerPhoto(identity[:, :1, :1, :1], *turns, exposure.REACH, exposure.MOST)
        self.grids = PerPhoto(torch.zeros_like(identity), *turns, REACH, MOST)

    def image(self, view: int, rgb: Tensor) -> Tensor:
        return clipped(sliced(rgb, self.matrices.ask(view) + self.grids.ask(view)))

    def loss(self, view: int, step: int, rendering: Rendering, mask: Tensor | None) -> Tensor:
        assert self.grids.asked is not None
        return VARIATION * variation(self.grids.asked)

    def update(self, view: int, step: int, frame: Frame) -> None:
        self.matrices.move(view, step)
        self.grids.move(view, step)

    def forget(self) -> None:
        self.matrices.forget()
        self.grids.forget()

    def state(self) -> dict[str, Tensor]:
        parts = {"matrices": self.matrices.state(), "grids": self.grids.state()}
        return {f"{part}.{name}": tensor for part, held in parts.items() for name, tensor in held.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        for part, held in (("matrices", self.matrices), ("grids", self.grids)):
            held.restore({name.removeprefix(f"{part}."): tensor for name, tensor in state.items() if part in name})


def sliced(rgb: Tensor, grid: Tensor) -> Tensor:
    """The colours of an image, each times the matrix that a bilateral grid has for its place and brightness.

    The grid's outermost cells lie at the centres of the outermost pixels, at black and at white. Differentiable in
    both, through the brightness too; on the CPU the same bits for any number of threads.

    Args:
        rgb: [1, H, W, 3].
        grid: [12, L, Y, X] matrices [3, 4], row by row.

    Returns:
        [1, H, W, 3].
    """
    (r, g, b), (_, height, width, _) = rgb[0].unbind(-1), rgb.shape
    _, levels, down, across = grid.shape
    # Interpolated to the rows first, which a bilinear look-up in each row then completes: a trilinear one takes longer,
    # and on one thread only.
    maps = grid.reshape(1, 12 * levels, down, across)
    rows = interpolate(maps, (height, across), mode="bilinear", align_corners=True)
    rows = rows.view(12, levels, height, across).permute(2, 0, 1, 3).contiguous()
    brightness = 2 * (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b) - 1
    x = torch.linspace(-1, 1, width, device=rgb.device, dtype=rgb.dtype).expand(height, width)
    where = torch.stack([x, brightness], dim=-1)[:, None]
    found = grid_sample(rows, where, mode="bilinear", padding_mode="border", align_corners=True)  # [H, 12, 1, W]
    matrices = found[:, :, 0].unbind(dim=1)
    mapped = [matrices[i] * r + matrices[i + 1] * g + matrices[i + 2] * b + matrices[i + 3] for i in (0, 4, 8)]
    return torch.stack(mapped, dim=-1)[None]


def variation(grid: Tensor) -> Tensor:
    """[] the mean squared difference of neighbouring cells of a grid [12, L, Y, X], summed over the three axes."""
    return sum(grid.diff(dim=axis).square().mean() for axis in (1, 2, 3))  # type: ignore[return-value]
