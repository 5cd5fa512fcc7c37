"""The training loop, view -> render -> loss -> backward -> observe -> optimiser -> adapt, and what it may be asked."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from splat.errors import SplatError
from splat.evaluate.metrics import evaluate_views, mean
from splat.gaussians import Gaussians
from splat.morton import morton_order
from splat.native import pick_device
from splat.ops.photometric import photometric_loss
from splat.train import dropout
from splat.train.config import TrainConfig
from splat.train.corrections import make_corrections
from splat.train.density import make_strategy
from splat.train.density.look import Look
from splat.train.density.protocol import Edit, Nudge, apply_edit, apply_nudge
from splat.train.frame import Frame
from splat.train.init import initial_gaussians
from splat.train.instance_bound import InstanceBound
from splat.train.interrupt import stop_on_signals
from splat.train.listeners import EvalReport, Listener, StepReport
from splat.train.losses import Losses
from splat.train.memory import OutOfMemory, most_opaque, plan_memory
from splat.train.optimizer import Adam
from splat.train.regularise import pull
from splat.train.representation import Plain, Representation
from splat.train.schedule import Schedule, ViewOrder
from splat.train.smoothing import Smoothing
from splat.train.state import restore, state_of
from splat.train.views import TrainingViews, on_device

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: How long a paused run waits for something to do before it looks whether it may go on, seconds.
PAUSE_POLL = 0.05
#: Photos that are decoded ahead of their step.
PREFETCH = 3
BLACK = (0.0, 0.0, 0.0)
#: Steps between two sortings of the Gaussians in space, by which a step at a million takes a quarter less time.
REORDER_EVERY = 1000
#: Steps between two computations of the smoothing filters, as in Mip-Splatting's release.
REFILTER_EVERY = 100
#: When the GPU's memory is used up, this share of the Gaussians stays, and a step is tried so many times in all.
KEPT_SHARE, ATTEMPTS = 0.9, 3

Result = TypeVar("Result")


class Trainer:
    """One training run. `run()` does it; what is public may be used from other threads meanwhile.

    Args:
        listeners: told in this order, on the training thread.

    Attributes:
        step: number of steps taken.
        seconds: training time so far, without evaluations and pauses.
        config, scene: what is trained, and on what.
        lock: held while a step changes the parameters. A thread that waits for it may wait long, since the next step
            takes it at once: rather hand a callback to `between_steps`.
    """

    def __init__(self, scene: Scene, config: TrainConfig, listeners: Iterable[Listener] = ()) -> None:
        self.scene = scene
        self.config = config
        self.listeners = list(listeners)
        self.step = 0
        self.seconds = 0.0
        self.lock = threading.RLock()
        self.device = pick_device(config.device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.schedule = Schedule(config, scene.extent)
        plan = plan_memory(scene, config, self.device)
        keep_alpha = config.background == "random"
        self.views = TrainingViews(scene, self.device, keep_alpha=keep_alpha, room=plan.photo_bytes)
        self.background = torch.tensor(scene.background or BLACK, device=self.device)
        self.order = ViewOrder(list(scene.train), self.generator)
        capped = dataclasses.replace(config, max_gaussians=plan.max_gaussians)
        initial = initial_gaussians(scene, capped, self.generator).to(self.device)
        initial = initial.select(morton_order(initial.means))
        self.representation: Representation = Plain(initial)
        self.optimizer = Adam(self.representation.parameters)
        self.strategy = make_strategy(capped, scene.extent, len(initial), self.device)
        self.losses = Losses()
        self.smoothing = self._smoothing()
        self.corrections = make_corrections(scene, config, self.device)
        self.instance_bound = InstanceBound(is_used=self.device.type == "cuda")
        self._is_out_of_memory = OutOfMemory(self.device)
        self._resumed = threading.Event()
        self._resumed.set()
        self._granted = 0
        self._stop: str | None = None
        self._between: queue.SimpleQueue[Callable[[Trainer], object]] = queue.SimpleQueue()

    # What listeners and other threads may ask.

    def gaussians(self) -> Gaussians:
        """The scene as it is rendered now, detached, in the normalised world. It shares memory with training: use it
        under `lock` or in a `between_steps` callback, or copy it there."""
        return self._raw() if self.smoothing is None else self.smoothing.smoothed(self._raw())

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return next(iter(self.representation.parameters.values())).shape[0]

    @property
    def paused(self) -> bool:
        return not self._resumed.is_set()

    def pause(self) -> None:
        """Rests after the current step until `resume()`; `between_steps` callbacks still run."""
        self._granted = 0
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    def step_once(self) -> None:
        """Has a paused run take one step, and rest again. Where it isn't paused nothing happens."""
        if self.paused:
            self._granted += 1

    def request_stop(self, reason: str = "stopped") -> None:
        """Ends the run after the current step, paused or not; the listeners hear the reason."""
        self._stop = self._stop or reason

    def between_steps(self, callback: Callable[[Trainer], object]) -> None:
        """Has `callback(trainer)` called once, on the training thread, before the next step and with the lock held."""
        self._between.put(callback)

    def evaluate(self) -> EvalReport:
        """PSNR and SSIM on the held-out views, of which there must be one; where poses are refined, also PSNR with
        those of the held-out views fitted."""
        views = evaluate_views(
            self.gaussians(),
            self.scene,
            self.scene.test,
            antialias=self.config.antialias,
            background=self.background,
            align=self.config.corrections.poses,
        )
        names = ("psnr", "psnr_corrected", "ssim")
        means = {name: sum(getattr(view, name) for view in views) / len(views) for name in names}
        aligned = mean(views, "psnr_aligned")
        return EvalReport(
            self.step, **means, psnr_aligned=aligned, views=views, gaussians=self.count, seconds=self.seconds
        )

    def _raw(self) -> Gaussians:
        """The scene as it is optimised, behind its smoothing filters."""
        return dataclasses.replace(self.representation.gaussians().detach(), antialias=self.config.antialias)

    def _smoothing(self) -> Smoothing | None:
        if self.config.antialias != "mip":
            return None
        return Smoothing([self.scene.views[view].camera for view in self.scene.train], self.device)

    # The run.

    def run(self) -> str:
        """Trains to the end, or until stopped. To be called once.

        Returns:
            Why it ended, as listeners hear it in `on_end`.

        Raises:
            SplatError: the loss is no longer a number, no Gaussian is left, or the GPU's memory does not suffice.
        """
        reason = "error"
        try:
            with stop_on_signals(self.request_stop):
                self._tell("on_start")
                if self.step and self._evaluates():
                    # The interruption may have come between the checkpoint and its evaluation.
                    self._tell("on_eval", self.evaluate())
                while self.step < self.config.iterations and self._may_go_on():
                    started = time.perf_counter()
                    with self.lock:
                        report = self._within_memory(self._take_step)
                        self._within_memory(self._nudge)
                        self._within_memory(self._adapt)
                        self._within_memory(self._reorder)
                        self._refilter()
                    self.seconds += time.perf_counter() - started
                    self._tell("on_step", dataclasses.replace(report, gaussians=self.count, seconds=self.seconds))
                    if self._evaluates():
                        self._tell("on_eval", self.evaluate())
                # A checkpoint of the last step has nothing left to do.
                reason = "done" if self.step >= self.config.iterations else self._stop or "stopped"
        finally:
            self._tell_end(reason)
        return reason

    def _may_go_on(self) -> bool:
        """Runs the callbacks that wait, and waits itself while paused; False when the run is to stop."""
        while True:
            while not self._between.empty():
                with self.lock:
                    self._between.get()(self)
            if self._stop is not None or self._resumed.is_set():
                return self._stop is None
            if self._granted:
                self._granted -= 1
                return True
            self._resumed.wait(PAUSE_POLL)

    def _evaluates(self) -> bool:
        every = self.config.save.eval_every
        due = self.step == self.config.iterations or (every > 0 and self.step % every == 0)
        return due and bool(self.scene.test)

    def _within_memory(self, part: Callable[[], Result]) -> Result:
        """Does a part of a step; where the GPU's memory does not suffice, takes it back and does it anew with fewer
        Gaussians. So nothing that a part changes may be changed before all that could fail is done."""
        failures = 0
        while True:
            random, pending, step = self.generator.get_state(), list(self.order.pending), self.step
            try:
                if failures:
                    self._make_room()
                return part()
            except Exception as error:
                if not self._is_out_of_memory(error):
                    raise
            # Only here are the error's frames gone, and with them the tensors they held.
            failures += 1
            self.generator.set_state(random)
            self.order.pending = pending
            self.losses.forget(step + 1)
            self.corrections.forget()
            self.instance_bound.forget()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if failures == ATTEMPTS:
                raise SplatError(
                    f"the GPU's memory does not suffice for step {step + 1}, not even with {self.count:,} Gaussians: "
                    "use smaller images (--downscale) or fewer Gaussians (--max-gaussians), or --device cpu"
                )

    def _make_room(self) -> None:
        """Removes the least opaque Gaussians and lowers the cap to the number of the others."""
        count, logits = self.count, self._raw().opacity_logits
        cap = max(1, int(KEPT_SHARE * count))
        self._apply(Edit(keep=most_opaque(logits, cap)))
        self.strategy.max_gaussians = cap
        warnings.warn(
            f"the GPU's memory does not suffice for {count:,} Gaussians (step {self.step + 1}): the {count - cap:,} "
            f"least opaque are removed, and from now on there are at most {cap:,}",
            stacklevel=2,
        )

    def _take_step(self) -> StepReport:
        """A step without its refinement. Nothing is applied before the last allocation is behind it."""
        config, step = self.config, self.step
        view = self.order.next()
        factor, sh_degree = self._factor(view, step), self.schedule.sh_degree(step)
        if step > 0 and factor != self._factor(view, step - 1):
            # Finer images have more tiles than the bound leaves room for.
            self.instance_bound.forget()
        self.views.prefetch(self.order.pending[-PREFETCH:], factor)
        left_out = dropout.share_left_out(self.strategy.dropout, len(self.scene.train), step / config.iterations)
        look = self._look(view, left_out, absgrad=self.strategy.absgrad, bound=self.instance_bound.next())
        rendering, rgb, image = look.rendering, look.rgb, look.image
        # Before the GPU is given the rest of the step: the next one waits for this.
        self.instance_bound.watch(rendering.lists.needed)
        self.strategy.watch(rendering)
        loss = photometric_loss(rgb, image, look.mask, config.optim.ssim_weight)
        loss = self.corrections.loss(view, step + 1, rendering, look.mask, loss)
        logged = (step + 1) % config.save.log_every == 0 or step + 1 in (1, config.iterations)
        self.losses.add(step + 1, self.scene.views[view].name, loss)
        if logged or self.losses.newest is None or self.device.type == "cpu":
            self.losses.read()
        loss.backward()
        psnr = _psnr(rgb, image, look.mask) if logged else None
        # The GPU has work now, so there is time for the next photo.
        self.views.upload(self.order.pending[-1:], factor)
        self.strategy.observe(rendering, step + 1)
        self.corrections.update(view, step + 1, look.frame)
        self.optimizer.step(step + 1, self._rates(step), look.frame)
        self.step = step + 1
        assert self.losses.newest is not None
        return StepReport(self.step, self.losses.newest, psnr, self.count, factor, sh_degree, self.seconds)

    def _rates(self, step: int) -> dict[str, float]:
        factors = self.strategy.rate_factors
        return {name: rate * factors.get(name, 1.0) for name, rate in self.schedule.rates(step).items()}

    def _factor(self, view: int, step: int) -> int:
        camera = self.scene.views[view].camera
        return self.schedule.factor(step, min(camera.width, camera.height))

    def _look(self, view: int, left_out: float = 0.0, *, absgrad: bool = False, bound: int | None = None) -> Look:
        """Renders the scene as it is, or with a share of its Gaussians left out, beside the photo of a view."""
        target = self.views.target(view, self._factor(view, self.step))
        background = self._background()
        image, sh_degree = target.over(background), self.schedule.sh_degree(self.step)
        gaussians = self._raw()
        filters = None if self.smoothing is None else self.smoothing.filters(gaussians.means)
        camera = self.corrections.camera(view, target.camera)
        frame = Frame(gaussians, camera, sh_degree=sh_degree, antialias=self.config.antialias, filters=filters)
        shown = dropout.thin_out(frame.projection, left_out, self.generator)
        rendering = frame.render(
            shown, background=background, depth=self.corrections.depth, absgrad=absgrad, bound=bound
        )
        rgb = self.corrections.image(view, rendering.rgb)
        mask = self.corrections.mask(view, rgb.detach(), image, target.mask)
        return Look(frame, rendering, rgb, image, mask)

    def _looks(self, count: int) -> Iterator[Look]:
        """Training views drawn at random, none twice."""
        chosen = torch.randperm(len(self.order.views), generator=self.generator)[:count]
        return (self._look(self.order.views[index]) for index in chosen.tolist())

    def _background(self) -> Tensor:
        """[3] of this step."""
        if self.config.background == "random":
            return on_device(torch.rand(3, generator=self.generator), self.device)
        return self.background

    def _nudge(self) -> None:
        rate = self._rates(self.step - 1)["means"]
        nudge = self.strategy.nudge(self._raw(), self.step, rate, self.generator)
        pulled = Nudge({}, pull(self._raw(), self.config.optim.opacity_weight, self.config.optim.scale_weight))
        first, second, *_ = self.optimizer.state
        for change in (nudge, pulled):
            if change is not None:
                apply_nudge(change, self.representation.parameters, (first, second))

    def _adapt(self) -> None:
        edit = self.strategy.adapt(self._raw(), self.step, self.generator, self._looks)
        if edit is not None:
            self._apply(edit)

    def _reorder(self) -> None:
        if self.step % REORDER_EVERY == 0:
            self._apply(Edit(keep=morton_order(self._raw().means)))

    def _refilter(self) -> None:
        """Gaussians move, and their filters follow at times."""
        if self.smoothing is not None and self.step % REFILTER_EVERY == 0:
            self.smoothing.forget()

    def _apply(self, edit: Edit) -> None:
        if self.smoothing is not None:
            edit = self.smoothing.lift(edit, self._raw())
            self.smoothing.forget()
        apply_edit(edit, self.representation.parameters, self.optimizer.state, self.strategy.statistics)
        if self.count == 0:
            raise SplatError(
                f"no Gaussian is left at step {self.step}: the photos and their cameras do not agree; "
                "run capture again, or check the camera file"
            )

    def _tell(self, event: str, *arguments: Any) -> None:
        for listener in self.listeners:
            getattr(listener, event)(self, *arguments)

    def _tell_end(self, reason: str) -> None:
        """Every listener hears the end, also when an earlier one fails at it; then the first failure is raised."""
        failure: Exception | None = None
        for listener in self.listeners:
            try:
                listener.on_end(self, reason)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    # What a checkpoint holds.

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, on the CPU; see `state.state_of`."""
        return state_of(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a `state`, as if the run had never stopped; see `state.restore`."""
        restore(self, state)


@torch.no_grad()
def _psnr(rendered: Tensor, target: Tensor, mask: Tensor | None) -> float:
    target = target.float() / 255 if target.dtype == torch.uint8 else target
    error = (rendered.clamp(0, 1) - target).square()
    if mask is not None:
        error = error[mask > 0]
    return float(-10 * error.mean().clamp(min=1e-10).log10())
