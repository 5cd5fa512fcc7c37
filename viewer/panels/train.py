"""Training: how far it is, how well it goes, and how much of the machine the viewer may take."""

from __future__ import annotations

from splat.viewer.commands import command
from splat.viewer.panels.text import duration, number
from splat.viewer.session import Session
from splat.viewer.source import TrainingSource


class TrainPanel:
    """Progress and the pause button; what one browser does here holds for all."""

    def __init__(self, session: Session) -> None:
        gui, source = session.client.gui, session.source
        assert isinstance(source, TrainingSource)
        self._source, self._allowance = source, session.pump.allowance
        self._bar = gui.add_progress_bar(0.0)
        self._text = gui.add_markdown("Waiting for the first step…")
        self._pause = gui.add_button(
            "Pause", hint="Training rests; the viewer has the machine to itself. Also the key P."
        )
        self._share = gui.add_slider(
            "Viewer share",
            2,
            50,
            1,
            round(100 * self._allowance.share),
            hint="Percent of the time that training gives up, at most, to draw these pictures.",
        )
        self._pause.on_click(lambda _: self._toggle())
        self._share.on_update(lambda _: setattr(self._allowance, "share", self._share.value / 100))
        command(session, "Pause or resume training", "P", self._toggle)

    def refresh(self) -> None:
        trainer = self._source.trainer
        total = trainer.config.iterations
        self._bar.value = 100 * min(1.0, trainer.step / total)
        label = "Resume" if trainer.paused else "Pause"
        if self._pause.label != label:
            self._pause.label = label
        if self._source.ended and self._pause.visible:
            self._pause.visible = self._share.visible = False
        text = self._describe(total)
        if text != self._text.content:
            self._text.content = text

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
