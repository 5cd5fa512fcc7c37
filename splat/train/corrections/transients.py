"""What was only there in some photos, such as people walking through, does not count.

Source:
    Sabour et al., "RobustNeRF: ignoring distractors with robust losses", 2023, section 4: residuals that are high for
    their photo over a neighbourhood are trimmed. Differs: what is compared is the mean colour of each cell, not each
    pixel. Detail that is yet to be learned leaves that mean nearly as it is, so that it is not taken for a passer-by.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d

from splat.train.corrections.protocol import Correction
from splat.train.frame import Frame

#: Share of the run after which cells are passed over: before, most of what is off is the scene's own fault, and what is
#: passed over then is never learned.
START = 0.3
#: In one of so many rounds over the photos all cells count, so that what the scene has not learned yet still can be.
ROUNDS = 3
#: Cells along the longer side of a photo.
CELLS = 64
#: A cell is passed over where its colour is off by more than so many times the photo's median cell, and by more than so
#: much of the range at least.
FACTOR, LEAST = 6.0, 0.15


class Transients(Correction):
    """Masks the cells of a photo whose colours are off by far more than the rest of it, and those beside them.

    Args:
        photos: how many are trained on.
        iterations: steps of the run.

    Attributes:
        step: number of steps taken.
    """

    name = "transients"

    def __init__(self, photos: int, iterations: int) -> None:
        self.photos, self.start = photos, START * iterations
        self.step = 0

    def mask(self, view: int, rgb: Tensor, photo: Tensor, mask: Tensor | None) -> Tensor | None:
        if self.step < self.start or self.step // self.photos % ROUNDS == 0:
            return mask
        kept = ~transient(rgb, photo.float() / 255 if photo.dtype == torch.uint8 else photo, mask)
        return kept.to(torch.uint8) if mask is None else mask * kept

    def update(self, view: int, step: int, frame: Frame) -> None:
        self.step = step

    def state(self) -> dict[str, Tensor]:
        return {"step": torch.tensor(self.step)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.step = int(state["step"])


def transient(rgb: Tensor, photo: Tensor, mask: Tensor | None) -> Tensor:
    """[1, H, W] bool: the pixels that show something else in a photo than in the scene.

    Args:
        rgb: [1, H, W, 3] the rendered colours.
        photo: [1, H, W, 3] in [0, 1].
        mask: [1, H, W], the pixels that count are above 0; all if None.
    """
    height, width = rgb.shape[1:3]
    scale = CELLS / max(height, width)
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    counts = torch.ones_like(rgb[..., 0]) if mask is None else (mask > 0).float()
    # The mean over the pixels that count.
    share = adaptive_avg_pool2d(counts[:, None], size)
    difference = adaptive_avg_pool2d(((rgb - photo) * counts[..., None]).permute(0, 3, 1, 2), size)
    red, green, blue = (difference / share.clamp(min=1e-6)).abs().unbind(dim=1)
    off = avg_pool2d((red + green + blue) / 3, 3, stride=1, padding=1, count_include_pad=False)
    median = torch.where(share[:, 0] > 0, off, torch.nan).nanmedian()
    outlying = (off > (FACTOR * median).clamp(min=LEAST)).float()[:, None]
    grown = max_pool2d(outlying, 3, stride=1, padding=1)
    return interpolate(grown, (height, width))[:, 0] > 0
