"""What a control's value is, within what the control offers: viser takes whatever a browser sends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import viser

    Choice = viser.GuiDropdownHandle[Any] | viser.GuiButtonGroupHandle
    Amount = viser.GuiSliderHandle[Any] | viser.GuiNumberHandle[Any]


def chosen(control: Choice) -> str | None:
    """The option that is chosen; None where it is none of the control's."""
    value = control.value
    return value if value in control.options else None


def on_choice(control: Choice, action: Callable[[str], object], *, by_hand: bool = False) -> None:
    """Calls with each option that is chosen, and with nothing else.

    Args:
        by_hand: only where the browser chose it, not this program.
    """
    import viser

    def choose(event: viser.GuiEvent[Any]) -> None:
        value = chosen(control)
        if value is not None and (event.client or not by_hand):
            action(value)

    if isinstance(control, viser.GuiButtonGroupHandle):
        control.on_click(choose)
    else:
        control.on_update(choose)


def clamped(value: float, least: float, most: float, old: float) -> float:
    """A value within its bounds; `old` for what is no number."""
    return old if math.isnan(value) else min(max(float(value), least), most)


def within(control: Amount, old: float) -> float:
    """The value of a slider or a number, within its bounds; `old` for what is no number."""
    least = -math.inf if control.min is None else control.min
    most = math.inf if control.max is None else control.max
    return clamped(control.value, least, most, old)


def pixels(control: viser.GuiVector2Handle) -> tuple[int, int]:
    """Width and height that were typed, within the control's bounds; the least for what is no number."""
    assert control.min is not None and control.max is not None
    width, height = (
        round(clamped(value, least, most, least))
        for value, least, most in zip(control.value, control.min, control.max, strict=True)
    )
    return width, height
