"""A training view as the scene looks from it while a strategy decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from splat.render import Rendering
from splat.train.frame import Frame


@dataclass(frozen=True)
class Look:
    """One view, rendered.

    Attributes:
        frame, rendering: the scene as it is seen.
        rgb: [1, H, W, 3] the rendered colours as the photo would show them.
        image: [1, H, W, 3] the photo, uint8 in [0, 255] or float32 in [0, 1].
        mask: [1, H, W] uint8, 1 where a pixel counts; None if all do.
    """

    frame: Frame
    rendering: Rendering
    rgb: Tensor
    image: Tensor
    mask: Tensor | None

    def photo(self) -> Tensor:
        """[1, H, W, 3] float32 in [0, 1]."""
        return self.image.float() / 255 if self.image.dtype == torch.uint8 else self.image

    def error(self) -> Tensor:
        """[1, H, W] mean absolute difference of the three colours; zero where the mask is."""
        red, green, blue = (self.rgb.detach() - self.photo()).abs().unbind(-1)
        error = (red + green + blue) / 3
        return error if self.mask is None else error * self.mask

    def edges(self) -> Tensor:
        """[1, H, W] how much a pixel of the photo differs from its eight neighbours: |8 c - their sum| of the mean
        colour c; zero where the mask is, and beyond the border the border's colour counts."""
        red, green, blue = self.photo().unbind(-1)
        grey = (red + green + blue) / 3
        height, width = grey.shape[1:]
        padded = pad(grey[None], (1, 1, 1, 1), mode="replicate")[0]
        edges = 9 * grey
        for row in range(3):
            for column in range(3):
                edges = edges - padded[:, row : row + height, column : column + width]
        return edges.abs() if self.mask is None else edges.abs() * self.mask

    def gather(self, *maps: Tensor) -> list[Tensor]:
        """Sums up to three maps [1, H, W] over the pixels that each Gaussian is blended into, [N] each, every pixel by
        its blending weight. To be called once.

        The colour of a pixel is the sum of weight times colour, so its gradient by the colours is these sums.
        """
        none = torch.zeros_like(maps[0])
        channels = torch.stack([*maps, *[none] * (3 - len(maps))], dim=-1)
        self.rendering.rgb.backward(channels)
        sums = self.frame.projection.colours.grad
        assert sums is not None
        return list(sums[0, :, : len(maps)].unbind(-1))


#: Draws so many training views at random, none of them twice (all, where there are fewer), and renders each in turn.
Looks = Callable[[int], Iterator[Look]]
