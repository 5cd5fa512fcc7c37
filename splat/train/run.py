"""One run from capture to scene file, and the folder it leaves: config.json scene.ply cameras.json metrics.jsonl
checkpoints/ (report.html is the evaluation's). scene.ply and cameras.json are in the capture's own world."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from splat.errors import SplatError
from splat.files import atomic
from splat.formats import write
from splat.train.checkpoint import Checkpoints, newest_checkpoint
from splat.train.config import TrainConfig
from splat.train.corrections import Corrections
from splat.train.listeners import EvalReport, Listener
from splat.train.log import MetricsLog, TensorBoardLog
from splat.train.plan import plan_run
from splat.train.spending import TIME, Spent, TimeLimit, spent
from splat.train.trainer import Trainer

if TYPE_CHECKING:
    from splat.datasets.scene import Scene


@dataclass(frozen=True)
class Run:
    """What a finished or interrupted run left.

    Attributes:
        folder: where it is.
        reason: "done", "stopped", "SIGINT", "SIGTERM", or "time" if it took too much more than its budget.
        step, gaussians: steps taken and Gaussians at the end.
        seconds: training time, that of resumed runs included, evaluations and pauses not.
        evaluation: of the last step on the held-out photos; None if there are none or the run did not get there.
        config, capture: what was trained, and on what; where there is a budget, as it made them.
        budget: what was asked of each part of the budget, and what came out.
    """

    folder: Path
    reason: str
    step: int
    gaussians: int
    seconds: float
    evaluation: EvalReport | None
    config: TrainConfig
    capture: Scene
    budget: dict[str, Spent]


def train(
    capture: Scene | str | os.PathLike[str],
    output: str | os.PathLike[str],
    config: TrainConfig | None = None,
    *,
    listeners: Iterable[Listener] = (),
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> Run:
    """Trains a scene and writes it to a run folder.

    Ctrl-C and SIGTERM end the run after the step at hand; it is saved as it is then and can be resumed.

    Args:
        capture: a capture's folder, or the Scene that `splat.datasets.open_scene` made of it; that is opened anew where
            a budget makes its photos smaller.
        output: the run's folder; made if missing.
        config: all settings; the defaults if None, or those of the run that is resumed.
        listeners: told what happens, after the log and the checkpoints; e.g. `splat.train.progress.ProgressBar`.
        resume: continue the run in `output` from its newest checkpoint; on a CPU the result is the same, bit for bit,
            as without the interruption.
        overwrite: replace the run in `output`.
        settings: fields of TrainConfig that differ from `config`, e.g. iterations=2000.

    Raises:
        SplatError: the capture or the folder cannot be used; the folder holds a run and neither `resume` nor
            `overwrite` is given; training failed.
    """
    folder = Path(output)
    _check_folder(folder, resume, overwrite)
    if config is None:
        config = load_config(folder) if resume else TrainConfig()
    config = dataclasses.replace(config, **settings)
    scene = open_capture(capture, config) if isinstance(capture, str | os.PathLike) else capture
    listeners, limits, planning = list(listeners), [], 0.0
    # A run that is resumed keeps what was chosen when it began.
    if config.budget and not resume:
        plan = plan_run(scene, config)
        for listener in listeners:
            listener.on_plan(plan)
        if plan.config.downscale != config.downscale:
            scene = open_capture(scene.source, plan.config)
        config, planning = plan.config, plan.seconds
        limits = [TimeLimit(config.budget, planning)]
    checkpoints = folder / "checkpoints"
    state = newest_checkpoint(checkpoints) if resume else None

    recorder = _LastEvaluation()
    mandatory = [MetricsLog(folder / "metrics.jsonl"), Checkpoints(checkpoints), recorder]
    if config.save.tensorboard:
        mandatory.append(TensorBoardLog(folder))
    trainer = Trainer(scene, config, [*mandatory, *limits, *listeners])
    if state is not None:
        trainer.restore(state)
    if not resume:
        _clear(folder)
    background = scene.background or (0.0, 0.0, 0.0)
    facts = {"source": str(scene.source.resolve()), "background": background, "config": config.to_dict()}
    _write_json(folder / "config.json", facts)
    _write_json(folder / "cameras.json", describe_cameras(scene, trainer.corrections))
    reason = trainer.run()
    _write_json(folder / "cameras.json", describe_cameras(scene, trainer.corrections))
    for remark in trainer.corrections.remarks():
        warnings.warn(remark, stacklevel=2)
    write(trainer.gaussians().transform(torch.linalg.inv(scene.normalization)), folder / "scene.ply")
    evaluation = trainer.evaluate() if reason == TIME and scene.test else recorder.report
    budget = spent(config.budget, folder / "scene.ply", trainer, planning)
    if budget:
        facts["budget"] = {name: dataclasses.asdict(part) for name, part in budget.items()}
        _write_json(folder / "config.json", facts)
    return Run(folder, reason, trainer.step, trainer.count, trainer.seconds, evaluation, config, scene, budget)


def open_capture(path: str | os.PathLike[str], config: TrainConfig) -> Scene:
    """The capture as a run with these settings sees it."""
    from splat.datasets import open_scene

    data = config.data
    return open_scene(
        Path(path),
        downscale=config.downscale,
        format=data.format,
        test_every=data.test_every,
        test_names=list(data.test_names) or None,
        masks=None if data.masks is None else Path(data.masks),
        background=config.background_rgb,
        straighten=data.lens == "undistort",
    )


def load_config(folder: Path) -> TrainConfig:
    """The settings of a run.

    Raises:
        SplatError: config.json is missing or unreadable.
    """
    return TrainConfig.from_dict(_read_config(folder)["config"])


def load_source(folder: Path) -> Path:
    """The capture that a run was trained on."""
    return Path(_read_config(folder)["source"])


def load_budget(folder: Path) -> dict[str, Spent]:
    """What was asked of each part of a run's budget, and what came out; empty where there was none, or no end yet."""
    return {name: Spent(**part) for name, part in _read_config(folder).get("budget", {}).items()}


def load_background(folder: Path) -> tuple[float, float, float]:
    """What shows through the scene of a run: red, green, blue in [0, 1]."""
    red, green, blue = _read_config(folder)["background"]
    return red, green, blue


def describe_cameras(scene: Scene, corrections: Corrections | None = None) -> dict[str, Any]:
    """What cameras.json holds: every view in the capture's own world, as it was corrected, and the similarity to the
    world of training."""
    normalization = scene.normalization.double()
    scale = float(torch.linalg.det(normalization[:3, :3]) ** (1 / 3))
    held_out = set(scene.test)
    views = []
    for index, view in enumerate(scene.views):
        camera = view.camera if corrections is None else corrections.camera(index, view.camera)
        viewmat = camera.viewmats[0].double() @ normalization
        viewmat[:3] /= scale
        described = {
            "name": view.name,
            "width": view.camera.width,
            "height": view.camera.height,
            "model": view.camera.model,
            "K": view.camera.Ks[0].tolist(),
            "viewmat": viewmat.tolist(),
            "split": "test" if index in held_out else "train",
        }
        if view.camera.distortion is not None:
            described["distortion"] = view.camera.distortion[0].tolist()
        views.append(described)
    return {"source": str(scene.source.resolve()), "normalization": normalization.tolist(), "views": views}


class _LastEvaluation(Listener):
    """Keeps the evaluation of the last step for the run's caller."""

    report: EvalReport | None = None

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        self.report = report if report.step == trainer.config.iterations else None


def _check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise SplatError(f"{folder} is a file; give the name of a folder for the run")
    is_run = (folder / "config.json").exists()
    if resume and overwrite:
        raise SplatError("resume and overwrite exclude each other; give one of them")
    if resume and not is_run:
        raise SplatError(f"{folder} holds no run to resume; leave --resume out to start one there")
    if is_run and not resume and not overwrite:
        raise SplatError(f"{folder} already holds a run; continue it with --resume, or replace it with --overwrite")


def _clear(folder: Path) -> None:
    """Removes what an earlier run left: these files and no others."""
    names = ["config.json", "scene.ply", "cameras.json", "metrics.jsonl", "report.html", "checkpoints/step_*.pt"]
    for path in [path for name in names for path in folder.glob(name)] + list(folder.glob("events.out.tfevents.*")):
        try:
            path.unlink()
        except OSError as error:
            raise SplatError(f"{path} cannot be removed: {error.strerror or error}; choose another folder") from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = {"config", "source", "background"} - set(content)
    except OSError as error:
        raise SplatError(f"{path} cannot be read: {error.strerror or error}; give a run's folder") from error
    except (ValueError, TypeError) as error:
        raise SplatError(f"{path} is not a run's config.json: {error}; start a new run") from error
    if missing:
        raise SplatError(f"{path} is not a run's config.json: it lacks {', '.join(sorted(missing))}; start a new run")
    return content
