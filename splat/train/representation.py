"""What the optimiser moves, and how that becomes Gaussians."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from splat.gaussians import Gaussians


class Representation(Protocol):
    """Parameters from which a scene is made.

    `parameters` are leaves that the optimiser updates in place and `apply_edit` replaces; all have the number of
    Gaussians as leading dimension. `gaussians()` is differentiable in them.
    """

    parameters: dict[str, Tensor]

    def gaussians(self) -> Gaussians: ...


class Plain:
    """An ordinary scene: the parameters are the Gaussians' own tensors."""

    def __init__(self, gaussians: Gaussians) -> None:
        self.parameters = {
            name: tensor.detach().clone().requires_grad_() for name, tensor in gaussians.parameters().items()
        }

    def gaussians(self) -> Gaussians:
        return Gaussians.of(self.parameters)
