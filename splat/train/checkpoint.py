"""Checkpoints: all of a run's state, written whole or not at all, checked before it is believed."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from splat.errors import SplatError
from splat.files import atomic
from splat.train.listeners import Listener, StepReport

if TYPE_CHECKING:
    from splat.train.trainer import Trainer

#: Marks our files and says which layout they have.
FORMAT, VERSION = "splat-checkpoint", 1
_NAME = re.compile(r"step_(\d+)\.pt")


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("step_*.pt") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def save_checkpoint(state: dict[str, Any], folder: Path, keep: int) -> Path:
    """Writes `state` (nested dicts and lists of tensors and plain values) and drops all but the `keep` newest files.

    Raises:
        SplatError: no permission, or a full disk; older checkpoints are untouched then.
    """
    path = folder / f"step_{state['step']:07d}.pt"
    with atomic(path) as temporary:
        try:
            torch.save({"format": FORMAT, "version": VERSION, **state}, temporary)
        except RuntimeError as error:
            # torch's own writer reports every failing write as RuntimeError, without its reason.
            raise SplatError(f"{path}: cannot be written; is the disk full? Free some space and resume") from error
    for old in checkpoint_files(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads and checks one checkpoint.

    Raises:
        SplatError: the file is absent, truncated, damaged, or not a checkpoint of ours.
    """
    advice = "delete it to resume from an older checkpoint, or start again with --overwrite"
    try:
        # torch does not compare its archives' checksums; Python's reader does.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise SplatError(f"{path} is damaged (at {damaged}); {advice}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise SplatError(f"{path} is not a whole checkpoint; {advice}") from error
    except OSError as error:
        raise SplatError(f"{path} cannot be read: {error.strerror or error}; {advice}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise SplatError(f"{path} is no checkpoint of this program; {advice}")
    if state["version"] != VERSION:
        raise SplatError(f"{path} has checkpoint version {state['version']}, this program reads {VERSION}; {advice}")
    return state


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state in a folder's newest sound checkpoint, None if it has none at all; warns about unsound newer ones.

    Raises:
        SplatError: there are checkpoints, but none is sound.
    """
    problem: SplatError | None = None
    for path in reversed(checkpoint_files(folder)):
        try:
            state = load_checkpoint(path)
        except SplatError as error:
            problem = problem or error
            continue
        if problem is not None:
            warnings.warn(f"{problem} (resuming from {path.name} instead)", stacklevel=2)
        return state
    if problem is not None:
        raise problem
    return None


class Checkpoints(Listener):
    """Writes a checkpoint every so many steps, and whenever the run ends before its last step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: int | None = None

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        every = trainer.config.save.checkpoint_every
        if every and report.step % every == 0:
            self._save(trainer)

    def on_end(self, trainer: Trainer, reason: str) -> None:
        # After an error the parameters may be spoilt, and the last checkpoint is what one wants to return to.
        if reason != "error" and self.saved != trainer.step:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        save_checkpoint(trainer.state(), self.folder, trainer.config.save.keep_checkpoints)
        self.saved = trainer.step
