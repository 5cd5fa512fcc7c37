"""The training loop: view -> render -> loss -> backward -> observe -> optimiser -> adapt, and what may be asked of it."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.evaluate.metrics import evaluate_views
from splat.gaussians import Gaussians
from splat.ops.photometric import photometric_loss
from splat.render import render
from splat.train.config import TrainConfig
from splat.train.density import make_strategy
from splat.train.density.protocol import apply_edit
from splat.train.init import initial_gaussians
from splat.train.listeners import EvalReport, Listener, StepReport
from splat.train.optimizer import Adam
from splat.train.representation import Plain, Representation
from splat.train.schedule import Schedule, ViewOrder
from splat.train.views import Target, TrainingViews


class Trainer:
    """One training run. `run()` does it; everything public may be used from other threads meanwhile.

    Attributes:
        step: number of steps taken.
        config, scene: what is trained.
        seconds: training time so far, without evaluations and pauses.
        lock: held while a step changes the parameters. Rather than waiting for it, hand a callback to `between_steps`.
    """

    def __init__(self, scene: Scene, config: TrainConfig, listeners: Iterable[Listener] = ()) -> None:
        self.scene = scene
        self.config = config
        self.listeners = list(listeners)
        self.step = 0
        self.seconds = 0.0
        self.lock = threading.RLock()
        self.device = _device(config.device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.schedule = Schedule(config, scene.extent)
        self.views = TrainingViews(scene, self.device)
        self.order = ViewOrder(list(scene.train), self.generator)
        initial = initial_gaussians(scene, config, self.generator).to(self.device)
        self.representation: Representation = Plain(initial)
        self.optimizer = Adam(self.representation.parameters)
        self.strategy = make_strategy(config, scene.extent, initial)
        self._running = threading.Event()
        self._running.set()
        self._stop: str | None = None
        self._between: queue.SimpleQueue[Callable[[Trainer], None]] = queue.SimpleQueue()

    def gaussians(self) -> Gaussians:
        """The scene as it is now, detached, in the normalised world. Shares memory with training: copy it, or use it
        only under `lock` or in a `between_steps` callback."""
        return self.representation.gaussians().detach()

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    def pause(self) -> None:
        """Rests after the current step until `resume()`; `between_steps` callbacks still run."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def request_stop(self, reason: str = "stopped") -> None:
        """Ends the run after the current step, paused or not; the listeners hear the reason."""
        self._stop = self._stop or reason

    def between_steps(self, callback: Callable[[Trainer], None]) -> None:
        """Has `callback(trainer)` run once on the training thread, before the next step, with the lock held."""
        self._between.put(callback)

    def run(self) -> str:
        """Trains to the end, or until stopped. Call it once.

        Returns:
            The reason it ended, as listeners hear it in `on_end`.

        Raises:
            SplatError: the loss is no longer a number.
        """
        reason = "error"
        try:
            self._tell("on_start")
            while self.step < self.config.iterations and self._ready():
                started = time.perf_counter()
                with self.lock:
                    report = self._step()
                self.seconds += time.perf_counter() - started
                self._tell("on_step", dataclasses.replace(report, seconds=self.seconds))
                every = self.config.save.eval_every
                if self.scene.test and (self.step == self.config.iterations or (every and self.step % every == 0)):
                    self._tell("on_eval", self.evaluate())
            reason = self._stop or "done"
        finally:
            self._tell("on_end", reason)
        return reason

    def evaluate(self) -> EvalReport:
        """PSNR and SSIM on the held-out views, of which there must be one."""
        views = evaluate_views(
            self.gaussians(),
            self.scene,
            list(self.scene.test),
            antialias=self.config.antialias,
            background=self.views.shown_background,
        )
        psnr, ssim = (sum(getattr(view, name) for view in views) / len(views) for name in ("psnr", "ssim"))
        return EvalReport(self.step, psnr, ssim, views, self.count, self.seconds)

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return next(iter(self.representation.parameters.values())).shape[0]
