"""Adam over a scene's parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.ops.project_adam import PARAMETERS, RATES, project_adam
from splat.train.frame import Frame

#: The table of the steps that last moved each Gaussian, and its only entry.
LAST_STEPS = "last_steps"


class Adam:
    """Adam whose state lies in plain dictionaries, so that edits of the scene and checkpoints can reach it.

    The SH coefficients of what a view does not show wait until one does; see `project_adam`.

    Args:
        parameters: the Gaussians' tensors by name, [N, ...]; the dictionary is shared with whoever edits it.

    Attributes:
        state: tables of tensors [N, ...]: the first moments and the second, by the parameters' names, and the number of
            the step that last moved a Gaussian's coefficients.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.parameters = parameters
        means = parameters["means"]
        moments = ({name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()} for _ in range(2))
        last_steps = torch.zeros(len(means), dtype=torch.int32, device=means.device)
        self.state: tuple[dict[str, Tensor], ...] = (*moments, {LAST_STEPS: last_steps})

    def step(self, number: int, rates: dict[str, float], frame: Frame) -> None:
        """Moves the parameters by what backward left in a frame.

        Args:
            number: of this step, the first being 1.
            rates: learning rates by parameter name; "sh_rest" is that of all rows of sh [N, K, 3] but the first.
        """
        first, second, last = self.state
        project_adam(
            [self.parameters[name] for name in PARAMETERS],
            [first[name] for name in PARAMETERS],
            [second[name] for name in PARAMETERS],
            last[LAST_STEPS],
            frame.cameras.viewmats,
            frame.cameras.Ks,
            **frame.settings,
            filters=frame.filters,
            projection=frame.projection,
            cotangents=frame.cotangents(),
            rates=[rates[name] for name in RATES],
            step=number,
        )
