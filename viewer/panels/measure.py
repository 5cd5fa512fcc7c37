"""Measure: the distance between two places, what it really is, and which way is up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splat.viewer.camera import Array, ViewSpace
from splat.viewer.commands import command
from splat.viewer.panels.values import chosen, on_choice, within
from splat.viewer.pivot import place_at
from splat.viewer.scale import Scale
from splat.viewer.session import Session, view_space

if TYPE_CHECKING:
    import viser

START, STOP = "Measure a distance", "Stop measuring"
UNITS = ("m", "cm", "mm", "ft", "in")
#: Of a true length, in its unit.
LONGEST = 1e6
VIEW, FLIP, CAMERAS = "this view", "flip", "cameras"
COLOR = (0, 220, 255)


class MeasurePanel:
    """Two places in the picture and the line between them, the scene's scale, and its up."""

    def __init__(self, session: Session) -> None:
        gui, source = session.client.gui, session.source
        self._session = session
        self._on = False
        self._places: list[Array] = []
        self._nodes: list[Any] = []
        self._shown: tuple[ViewSpace, Scale] = session.space, source.scale
        self._button = gui.add_button(START, hint="Then click two places in the picture. Also the key M.")
        self._text = gui.add_markdown("")
        self._length = gui.add_number(
            "True length", 1.0, min=0.0, max=LONGEST, step=0.001, hint="How long the measured distance really is."
        )
        self._unit = gui.add_dropdown("Unit", UNITS, hint="Of the true length.")
        scale = gui.add_button("Set scale", hint="From then on all lengths are said in this unit.")
        self._scale = gui.add_markdown("")
        up = gui.add_button_group(
            "Up from",
            (VIEW, FLIP, *((CAMERAS,) if source.views else ())),
            hint="Which way is up: that of the picture now, the opposite, or what was up when the photos were taken.",
        )
        self._button.on_click(lambda _: self._switch())
        scale.on_click(lambda _: self._set_scale())
        on_choice(up, self._set_up)
        command(session, START, "M", self._switch)
        self._say()

    def refresh(self) -> None:
        """Follows what was set here or in another browser."""
        shown = self._session.space, self._session.source.scale
        if shown[0] is not self._shown[0] or shown[1] is not self._shown[1]:
            self._shown = shown
            self._show()

    def _switch(self) -> None:
        scene = self._session.client.scene
        self._on = not self._on
        if self._on:
            self._places = []
            scene.on_click()(self._click)
        else:
            scene.remove_click_callback(self._click)
        self._button.label = STOP if self._on else START
        self._show()

    def _click(self, event: viser.SceneClickEvent) -> None:
        place_at(self._session, *event.screen_pos, self._add)

    def _add(self, place: Array) -> None:
        self._places = [place] if len(self._places) > 1 else [*self._places, place]
        self._show()

    def _show(self) -> None:
        """Draws the places, the line between them and its length."""
        scene = self._session.client.scene
        for node in self._nodes:
            node.remove()
        places = [self._session.space.to_view(place) for place in self._places]
        self._nodes = [
            scene.add_icosphere(f"/measure/{number}", 0.012, COLOR, position=place, cast_shadow=False)
            for number, place in enumerate(places)
        ]
        if len(places) > 1:
            line, middle = np.stack([places]), (places[0] + places[1]) / 2
            self._nodes += [
                scene.add_line_segments("/measure/line", line, COLOR, thickness=3.0, thickness_units="screen"),
                scene.add_label("/measure/length", self._distance, position=middle, anchor="bottom-center"),
            ]
        self._say()

    @property
    def _distance(self) -> str:
        return self._session.source.scale.say(float(np.linalg.norm(self._places[1] - self._places[0])))

    def _say(self) -> None:
        scale = self._session.source.scale
        if len(self._places) > 1:
            text = f"**{self._distance}**"
        elif self._on:
            text = "Click the second place." if self._places else "Click the first place."
        else:
            text = ""
        self._text.content = text
        known = f"1 unit of the scene is {scale.length:.4g} {scale.unit}."
        self._scale.content = known if scale.unit else "The true size of the scene is not known yet."

    def _set_scale(self) -> None:
        session, length, unit = self._session, within(self._length, 0.0), chosen(self._unit)
        if len(self._places) < 2:  # noqa: PLR2004
            session.tell("Measure a distance first: the scale follows from how long it really is.")
            return
        distance = float(np.linalg.norm(self._places[1] - self._places[0]))
        if distance == 0:
            session.tell("Both places are the same; measure between two that are apart.")
        elif length == 0:
            session.tell("Type how long the measured distance really is.")
        elif unit is not None:
            session.source.scale = Scale(length / distance, unit)
            self.refresh()

    def _set_up(self, chosen: str) -> None:
        session = self._session
        if chosen == VIEW:
            up = -session.camera().viewmats[0, 1, :3].double().numpy()
        else:
            up = -session.space.up if chosen == FLIP else view_space(session.source).up
        session.set_up(up, stay=True)
