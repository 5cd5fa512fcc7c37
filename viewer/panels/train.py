"""Training: how far it is, how well it goes, and how much of the machine the viewer may take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from splat.viewer.commands import command
from splat.viewer.panels.text import duration, number
from splat.viewer.panels.values import within
from splat.viewer.session import Session
from splat.viewer.source import TrainingSource

if TYPE_CHECKING:
    import viser


#: Why a run ended that somebody stopped here.
STOPPED_THERE = "stopped on the page"
#: Seconds between two looks at the curves: each is sent whole.
PLOT_EVERY = 1.0
HEIGHT = 130  # of a plot, px
BLUE, GREY, GRID = "#4dabf7", "#909296", "#80808030"


class TrainPanel:
    """Progress and the pause button; what one browser does here holds for all."""

    def __init__(self, session: Session) -> None:
        gui, source = session.client.gui, session.source
        assert isinstance(source, TrainingSource)
        self._session = session
        self._source, self._allowance = source, session.pump.allowance
        self._bar = gui.add_progress_bar(0.0)
        self._text = gui.add_markdown("Waiting for the first step…")
        self._pause = gui.add_button(
            "Pause", hint="Training rests; the viewer has the machine to itself. Also the key P."
        )
        self._step = gui.add_button("One step", visible=False, hint="Takes a single step and rests again. Key N.")
        self._stop = gui.add_button(
            "Stop and keep…", hint="Ends the run here, with its scene, report and a checkpoint to go on from."
        )
        self._share = gui.add_slider(
            "Viewer share",
            2,
            50,
            1,
            round(100 * self._allowance.share),
            hint="Percent of the time that training gives up, at most, to draw these pictures.",
        )
        self._loss = self._plot("loss", log=True)
        self._psnr = self._plot("PSNR of photos in training, dB")
        self._held_out = self._plot("PSNR of held-out photos, dB")
        self._count = self._plot("Gaussians")
        self._plotted_at = 0.0
        self._pause.on_click(lambda _: self._toggle())
        self._step.on_click(lambda _: source.trainer.step_once())
        self._stop.on_click(lambda _: self._ask_to_stop())
        self._share.on_update(lambda _: self._choose_share())
        command(session, "Pause or resume training", "P", self._toggle)
        command(session, "Take one step while paused", "N", source.trainer.step_once)

    def refresh(self) -> None:
        trainer = self._source.trainer
        total = trainer.config.iterations
        self._bar.value = 100 * min(1.0, trainer.step / total)
        label = "Resume" if trainer.paused else "Pause"
        if self._pause.label != label:
            self._pause.label = label
        if self._step.visible != (trainer.paused and not self._source.ended):
            self._step.visible = not self._step.visible
        if self._source.ended and self._pause.visible:
            self._pause.visible = self._share.visible = self._stop.visible = False
        text = self._describe(total)
        if text != self._text.content:
            self._text.content = text
        if time.monotonic() - self._plotted_at >= PLOT_EVERY:
            self._plotted_at = time.monotonic()
            self._draw_curves()

    def _plot(self, title: str, log: bool = False) -> viser.GuiUplotHandle:
        """An empty plot over the whole run's steps: with a range of its own a page that is busy while it opens would
        show the first step alone."""
        values: Any = {"distr": 3, "log": 10} if log else {"auto": True}
        axis: Any = {"stroke": GREY, "grid": {"stroke": GRID}, "ticks": {"show": False}, "font": "10px sans-serif"}
        axes: Any = ({**axis, "size": 24}, {**axis, "size": 52})
        return self._session.client.gui.add_uplot(
            (np.zeros(1), np.zeros(1)),
            ({"label": "step"}, {"label": title, "stroke": BLUE, "width": 1.5}),
            title=title,
            scales={"x": {"time": False, "range": (0.0, float(self._source.trainer.config.iterations))}, "y": values},
            axes=axes,
            legend={"show": False},
            padding=(10, 10, 0, 0),
            height=HEIGHT,
            visible=False,
        )

    def _draw_curves(self) -> None:
        history, held_out = self._source.history, sorted(self._source.held_out.items())
        _set(self._loss, *history.curve("loss"))
        _set(self._psnr, *history.curve("psnr"))
        _set(self._held_out, *np.array(held_out, dtype=np.float64).reshape(-1, 2).T)
        _set(self._count, *history.curve("gaussians"))

    def _choose_share(self) -> None:
        self._allowance.share = within(self._share, 100 * self._allowance.share) / 100

    def _ask_to_stop(self) -> None:
        gui = self._session.client.gui
        with gui.add_modal("Stop training here?") as modal:
            gui.add_markdown(
                "The scene as it is now, its report and a checkpoint are kept. "
                "`splat train … --resume` goes on from there."
            )
            stop, go_on = gui.add_button("Stop and keep"), gui.add_button("Go on training")

        def stopped() -> None:
            self._source.trainer.request_stop(STOPPED_THERE)
            modal.close()

        stop.on_click(lambda _: stopped())
        go_on.on_click(lambda _: modal.close())

    def _describe(self, total: int) -> str:
        report, evaluation = self._source.report, self._source.evaluation
        if report is None:
            return "Waiting for the first step…"
        lines = [f"Step {number(report.step)} of {number(total)} · loss {report.loss:.4f}"]
        if self._source.ended:
            end = "is finished" if self._source.reason == "done" else f"was stopped ({self._source.reason})"
            lines.append(f"Training {end}; this is its scene.")
        elif self._source.trainer.paused:
            lines.append("Paused.")
        elif self._source.speed:
            left = (total - report.step) / self._source.speed
            lines.append(f"{self._source.speed:.1f} steps a second · {duration(left)} left")
        if evaluation is not None:
            lines.append(f"Held-out photos at step {number(evaluation.step)}: **PSNR {evaluation.psnr:.2f} dB**")
        return "  \n".join(lines)

    def _toggle(self) -> None:
        trainer = self._source.trainer
        if self._source.ended:
            return
        if trainer.paused:
            trainer.resume()
        else:
            trainer.pause()
        self.refresh()


def _set(plot: viser.GuiUplotHandle, steps: np.ndarray, values: np.ndarray) -> None:
    """Shows curves, if there is anything of them yet and they have changed."""
    if len(steps) < 2 or (len(plot.data[0]) == len(steps) and plot.data[0][-1] == steps[-1]):
        return
    plot.data = (np.ascontiguousarray(steps), np.ascontiguousarray(values))
    plot.visible = True
