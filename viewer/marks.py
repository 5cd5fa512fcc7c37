"""What a browser sees otherwise than it is, while it edits: the selected in magenta, what lies outside dimmed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from splat.gaussians import SH_C0, Gaussians
from splat.viewer.region import Region

Outside = Literal["shown", "dimmed", "hidden"]

MAGENTA = (1.0, 0.0, 1.0)
#: What is dimmed keeps this share of its opacity; the hidden one's is below what the renderer draws.
OPACITY = {"dimmed": 0.1, "hidden": 1e-6}


@dataclass(eq=False)
class Marks:
    """What is marked in a browser; each change is a new object.

    Attributes:
        region: what is being cropped to, or None.
        outside: how what is not in the region is shown.
        selected: [N] bool of the Gaussians of one generation of the scene, or None.
        generation: that one; in any other the selection is not shown.
    """

    region: Region | None = None
    outside: Outside = "dimmed"
    selected: Tensor | None = None
    generation: int = 0
    _last: tuple[Gaussians, int, Gaussians] | None = field(default=None, repr=False)

    def apply(self, gaussians: Gaussians, generation: int) -> Gaussians:
        """The Gaussians as this browser is to see them; those given stay as they are."""
        last = self._last
        if last is None or last[0] is not gaussians or last[1] != generation:
            last = self._last = gaussians, generation, self._applied(gaussians, generation)
        return last[2]

    def _applied(self, gaussians: Gaussians, generation: int) -> Gaussians:
        logits, sh = gaussians.opacity_logits, gaussians.sh
        if self.region is not None and self.outside != "shown":
            opacities = OPACITY[self.outside] * logits.sigmoid()
            logits = torch.where(self.region.contains(gaussians.means), logits, opacities.logit())
        if self.selected is not None and self.generation == generation:
            rows = self.selected.to(sh.device)
            sh = sh.clone()
            sh[rows] = 0
            sh[rows, 0] = (torch.tensor(MAGENTA).to(sh) - 0.5) / SH_C0
        return replace(gaussians, opacity_logits=logits, sh=sh)
