"""The render and the photo in one picture, put together on the server so that both are exact."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.viewer.colormap import coloured
from splat.viewer.frames import Compare

#: Grey level around pictures that do not fill the canvas, and of the line between render and photo.
MARGIN, LINE = 24, 235
#: Colour map of differences, and the one that takes its last colour: the mean over red, green and blue, of 1.
DIFFERENCE_MAP, DIFFERENCE_MOST = "inferno", 0.1


def picture_size(compare: Compare, width: int, height: int, aspect: float) -> tuple[int, int]:
    """(width, height) of the render and of the photo within a canvas of this size; aspect is the photo's."""
    columns, rows = _grid(compare, width, height, aspect)
    return _fit(width // columns, height // rows, aspect)


def compose(compare: Compare, render: Tensor, photo: Tensor, wipe: float, width: int, height: int) -> Tensor:
    """The canvas [height, width, 3] with render and photo on it.

    Args:
        compare: "side by side": one next to the other, or above it, whichever shows more. "wipe": over each other,
            the render left of the line. "difference": how far one is from the other, by colour. "photo": it alone.
        render, photo: [h, w, 3] uint8, of `picture_size`.
        wipe: where the line is, in [0, 1] of the picture's width.
    """
    h, w = render.shape[:2]
    columns, rows = _grid(compare, width, height, w / h)
    if compare == "difference":
        picture = difference(render, photo)
    elif compare == "photo":
        picture = photo
    elif compare == "wipe":
        edge = round(wipe * w)
        picture = torch.cat([render[:, :edge], photo[:, edge:]], dim=1)
        picture[:, max(0, edge - 1) : edge + 1] = LINE
    else:
        picture = torch.cat([render, photo], dim=1 if columns == 2 else 0)
    canvas = torch.full((height, width, 3), MARGIN, dtype=torch.uint8)
    left, top = (width - picture.shape[1]) // 2, (height - picture.shape[0]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def difference(render: Tensor, photo: Tensor) -> Tensor:
    """[h, w, 3] uint8: how far each pixel of one picture is from the other's, black where they agree."""
    apart = (render.float() - photo.float()).abs().mean(-1) / 255
    return (coloured(apart / DIFFERENCE_MOST, DIFFERENCE_MAP) * 255).round().to(torch.uint8)


def resized(photo: Tensor, width: int, height: int) -> Tensor:
    """A uint8 image [H, W, 3] at another size, without aliasing."""
    planes = photo.permute(2, 0, 1)[None].float()
    scaled = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return scaled[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)


def _grid(compare: Compare, width: int, height: int, aspect: float) -> tuple[int, int]:
    if compare != "side by side":
        return 1, 1
    beside, above = _fit(width // 2, height, aspect), _fit(width, height // 2, aspect)
    return (2, 1) if beside[0] >= above[0] else (1, 2)


def _fit(width: int, height: int, aspect: float) -> tuple[int, int]:
    fitted = min(width, round(height * aspect))
    return max(1, fitted), max(1, min(height, round(fitted / aspect)))
