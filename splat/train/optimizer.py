"""Adam over a scene's parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.ops.adam import adam


class Adam:
    """Adam whose state lies in plain dictionaries, so that edits of the scene and checkpoints can reach it.

    Attributes:
        moments: the first and the second moments, shaped like the parameters and by the same names.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.parameters = parameters
        self.moments = tuple({name: torch.zeros_like(p) for name, p in parameters.items()} for _ in range(2))
