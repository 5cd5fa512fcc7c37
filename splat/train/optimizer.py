"""Adam over a scene's parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.ops.adam import adam


class Adam:
    """Adam whose state lies in plain dictionaries, so that edits of the scene and checkpoints can reach it.

    Args:
        parameters: leaves by name, [N, ...]; the dictionary is shared with whoever edits it.

    Attributes:
        moments: the first and the second moments, shaped like the parameters and by the same names.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.parameters = parameters
        self.moments = tuple({name: torch.zeros_like(p) for name, p in parameters.items()} for _ in range(2))

    def step(self, number: int, rates: dict[str, float]) -> None:
        """Moves the parameters by their gradients, and drops these.

        Args:
            number: of this step, the first being 1.
            rates: learning rates by parameter name; "sh_rest" is that of all rows of sh [N, K, 3] but the first.
        """
        names = [name for name, parameter in self.parameters.items() if parameter.grad is not None]
        by_element = {name: [rates[name]] for name in names}
        if "sh" in by_element:
            columns = self.parameters["sh"].shape[1] * 3
            by_element["sh"] = [rates["sh"]] * 3 + [rates["sh_rest"]] * (columns - 3)
        first, second = self.moments
        adam(
            [self.parameters[name] for name in names],
            [gradient for name in names if (gradient := self.parameters[name].grad) is not None],
            [first[name] for name in names],
            [second[name] for name in names],
            rates=[by_element[name] for name in names],
            step=number,
        )
        for parameter in self.parameters.values():
            parameter.grad = None
