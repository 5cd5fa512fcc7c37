"""How Gaussians come and go: a strategy decides by returning an Edit, and `apply_edit` alone carries it out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.render import Rendering
from splat.train.config import TrainConfig
from splat.train.density.look import Looks

#: Adam's decay of the moments, as the optimiser has it.
BETA1, BETA2 = 0.9, 0.999


@dataclass(frozen=True)
class Reset:
    """New values for parameters of some Gaussians, whose optimiser state starts again from zero.

    Attributes:
        rows: [R] indices.
        values: by parameter name, [R, ...].
    """

    rows: Tensor
    values: dict[str, Tensor]


@dataclass(frozen=True)
class Edit:
    """A change of the set of N Gaussians. Carried out in the order of the fields; all indices count the N before.

    Attributes:
        reset: parameters to overwrite first, so that what is kept or cloned has the new values.
        keep: which Gaussians stay: [N] bool, in the order they are in, or [K] int64, in that order; all if None.
        clone: [M] indices of Gaussians that are appended once more, with fresh optimiser state.
        new: parameters [L, ...] of Gaussians that are appended after these, by name.
        forget: whether the statistics of all Gaussians start again from zero.
    """

    reset: Reset | None = None
    keep: Tensor | None = None
    clone: Tensor | None = None
    new: dict[str, Tensor] | None = None
    forget: bool = False


@dataclass(frozen=True)
class Nudge:
    """A small change of all N Gaussians, which leaves the optimiser's course as it is.

    Attributes:
        offsets: what is added to parameters [N, ...], by name.
        gradients: of a loss of the strategy's own, by parameters [N, ...], by name.
    """

    offsets: dict[str, Tensor]
    gradients: dict[str, Tensor]


class Strategy(Protocol):
    """Decides when and where Gaussians are added and removed; what a strategy has no use for it leaves as it is here.

    Args:
        extent: of the cameras, world units.
        count: number of Gaussians at the start.

    Attributes:
        max_gaussians: number that is never exceeded; lowered when a GPU's memory does not suffice.
        absgrad: whether `render` has to accumulate absolute screen-space gradients.
        dropout: see `splat.train.dropout`; none at 0.
        rate_factors: of the learning rates that differ from the schedule's, by name.
        statistics: tensors [N, ...] gathered by `observe`; `apply_edit` keeps them in step, checkpoints hold them.
    """

    max_gaussians: int
    absgrad: bool = False
    dropout: float = 0.0
    rate_factors: Mapping[str, float] = MappingProxyType({})
    statistics: dict[str, Tensor]

    @abstractmethod
    def __init__(self, config: TrainConfig, extent: float, count: int, device: torch.device) -> None: ...

    def watch(self, rendering: Rendering) -> None:
        """Before backward: ask for the gradients that `observe` needs."""

    def observe(self, rendering: Rendering, step: int) -> None:
        """After backward: gather statistics of one step. Changes them only when it has allocated all it needs."""

    def nudge(self, gaussians: Gaussians, step: int, rate: float, generator: torch.Generator) -> Nudge | None:
        """After the optimiser's step: what to change of all Gaussians, if anything. Changes nothing itself.

        Args:
            rate: at which the centres were moved.
        """
        return None

    @abstractmethod
    def adapt(self, gaussians: Gaussians, step: int, generator: torch.Generator, looks: Looks) -> Edit | None:
        """After that: what to add and remove now, if anything. Changes nothing itself.

        Args:
            looks: renders training views, for strategies that judge Gaussians by what they do in an image.
        """


def apply_nudge(
    nudge: Nudge, parameters: dict[str, Tensor], moments: tuple[dict[str, Tensor], dict[str, Tensor]]
) -> None:
    """Carries out a Nudge, in place.

    The loss's gradients go into Adam's moments, so that the steps to come follow them as they do the image's.
    Differs from adding them to the image's: the second moment lacks twice the product of the two.

    Args:
        parameters: [N, ...] by name.
        moments: the first and the second, [N, ...] by the parameters' names.
    """
    first, second = moments
    changes = [(parameters[name].detach(), offset) for name, offset in nudge.offsets.items()]
    for name, gradient in nudge.gradients.items():
        changes.append((first[name], (1 - BETA1) * gradient))
        changes.append((second[name], (1 - BETA2) * gradient * gradient))
    for tensor, change in changes:
        tensor += change


def apply_edit(
    edit: Edit, parameters: dict[str, Tensor], state: Iterable[dict[str, Tensor]], statistics: dict[str, Tensor]
) -> None:
    """Carries out an Edit on parameters, optimiser state and statistics alike: all of it, or nothing where it fails.

    Args:
        parameters: [N, ...] leaves by name; like the other tables, the dictionary gets new tensors.
        state: the optimiser's tables [N, ...]. Rows of Gaussians that were cloned or made anew are zero, and those of
            a parameter that was reset, in tensors by its name.
        statistics: [N, ...] by any name. Rows that were cloned or made anew are zero.
    """
    count = next(iter(parameters.values())).shape[0]
    state = list(state)
    kept = slice(None) if edit.keep is None else edit.keep
    cloned = torch.empty(0, dtype=torch.int64) if edit.clone is None else edit.clone
    reset = edit.reset.values if edit.reset is not None else {}
    changed: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        values = parameter.detach()
        if edit.reset is not None and name in reset:
            values = values.index_copy(0, edit.reset.rows, reset[name].to(values))
        parts = [values[kept], values[cloned.to(values.device)]]
        if edit.new is not None:
            parts.append(edit.new[name].to(values))
        changed[name] = torch.cat(parts).requires_grad_()
    added = next(iter(changed.values())).shape[0] - _kept_count(edit, count)
    changed_tables: list[dict[str, Tensor]] = []
    for table in (*state, statistics):
        fresh: dict[str, Tensor] = {}
        for name, values in table.items():
            if edit.reset is not None and name in reset and table is not statistics:
                values = values.index_fill(0, edit.reset.rows, 0)
            if edit.forget and table is statistics:
                values = torch.zeros_like(values)
            fresh[name] = torch.cat([values[kept], values.new_zeros(added, *values.shape[1:])])
        changed_tables.append(fresh)
    for table, fresh in zip((parameters, *state, statistics), (changed, *changed_tables), strict=True):
        table.update(fresh)


def _kept_count(edit: Edit, count: int) -> int:
    if edit.keep is None:
        return count
    return int(edit.keep.count_nonzero()) if edit.keep.dtype == torch.bool else len(edit.keep)
