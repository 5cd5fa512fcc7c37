"""A run's state: what a checkpoint holds, and how a trainer takes it up again, on whatever device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torch import Tensor

from splat.errors import SplatError
from splat.train.config import TrainConfig

if TYPE_CHECKING:
    from splat.train.trainer import Trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that the rest of the run depends on: nested dicts and lists of tensors, on the CPU, and plain values.

    Raises:
        SplatError: a loss is no number, so the state is worth nothing.
    """
    trainer.losses.read()
    trainer.instance_bound.read()
    filters = None if trainer.smoothing is None else trainer.smoothing.found
    return {
        "step": trainer.step,
        "seconds": trainer.seconds,
        "config": _identity(trainer.config),
        "photos": _photos(trainer),
        "parameters": _on_cpu(trainer.representation.parameters),
        "optimizer": [_on_cpu(table) for table in trainer.optimizer.state],
        "statistics": _on_cpu(trainer.strategy.statistics),
        "generator": trainer.generator.get_state(),
        "pending_views": list(trainer.order.pending),
        "max_gaussians": trainer.strategy.max_gaussians,
        "most_instances": trainer.instance_bound.most,
        "filters": _on_cpu({} if filters is None else {"filters": filters}),
        "corrections": {name: _on_cpu(held) for name, held in trainer.corrections.state().items()},
    }


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Has a trainer continue from a state, as if the run had never stopped.

    Raises:
        SplatError: it is of another run: other settings, another capture, or tensors that do not fit.
    """
    # Through TrainConfig, so that a setting which did not exist then has its default.
    if _identity(TrainConfig.from_dict(json.loads(state["config"]))) != _identity(trainer.config):
        raise SplatError("the checkpoint was made with other settings; resume with the settings of its config.json")
    if state["photos"] != _photos(trainer):
        raise SplatError(f"{trainer.scene.source} has other training photos than when the run began; start a new run")
    tables = [state["parameters"], *state["optimizer"], state["statistics"]]
    ours = [trainer.representation.parameters, *trainer.optimizer.state, trainer.strategy.statistics]
    count = {tensor.shape[0] for table in tables for tensor in table.values()}
    if [list(table) for table in tables] != [list(table) for table in ours] or len(count) != 1:
        raise SplatError("the checkpoint's tensors do not belong together; start a new run")
    for table, held in zip(tables, ours, strict=True):
        for name, tensor in table.items():
            held[name] = tensor.to(trainer.device)
    for tensor in trainer.representation.parameters.values():
        tensor.requires_grad_()
    trainer.step, trainer.seconds = state["step"], state["seconds"]
    trainer.generator.set_state(state["generator"])
    trainer.order.pending = list(state["pending_views"])
    # Older checkpoints have neither this nor the cap, which is lowered where a GPU's memory did not suffice.
    trainer.instance_bound.forget()
    trainer.instance_bound.most = state.get("most_instances", 0)
    if trainer.smoothing is not None:
        filters = state.get("filters", {}).get("filters")
        trainer.smoothing.found = None if filters is None else filters.to(trainer.device)
    trainer.corrections.restore(state.get("corrections", {}))
    cap = state.get("max_gaussians", trainer.config.max_gaussians)
    trainer.strategy.max_gaussians = min(trainer.strategy.max_gaussians, cap)


def _identity(config: TrainConfig) -> str:
    """The settings that decide a run's result; what is written meanwhile, and how often, does not."""
    return json.dumps({name: value for name, value in config.to_dict().items() if name not in ("save", "device")})


def _photos(trainer: Trainer) -> list[str]:
    return [trainer.scene.views[i].name for i in trainer.scene.train]


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}
