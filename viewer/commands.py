"""What can be done by key and gesture: one call makes a command of the page, its key, and its line in the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from splat.viewer.session import Session


class Shortcut(NamedTuple):
    """A line of the help: the keys as a person names them, and what they do."""

    keys: str
    does: str


#: What the page does that is no command: viser's own camera, and the page's script.
CAMERA = (
    Shortcut("Drag, one finger", "Turn around the scene"),
    Shortcut("Right drag, two fingers", "Move sideways and up"),
    Shortcut("Wheel, pinch", "Nearer and farther"),
    Shortcut("Double-click, double-tap", "Fly there and turn around it"),
    Shortcut("Ctrl click", "Turn around this place"),
    Shortcut("W A S D", "Move forwards, left, back, right"),
    Shortcut("Q E", "Move down, up"),
    Shortcut("Arrow keys", "Turn the camera"),
    Shortcut("F", "Fly: the mouse looks, Shift is faster, Esc ends"),
    Shortcut("Ctrl K", "Search all commands"),
)
_NAMES = {"arrowleft": "←", "arrowright": "→", "arrowup": "↑", "arrowdown": "↓", "cmd/ctrl": "Ctrl"}


def command(session: Session, label: str, hotkey: Any, action: Callable[[], object], *, modifier: Any = None) -> None:
    """Adds a command to one browser's page: in the palette, on its key, and in the help.

    Args:
        label: what it does, as a sentence without its full stop.
        hotkey: one of viser's, a letter or such as "arrowleft"; None for a command of the palette alone.
        action: called without arguments, on one of viser's threads.
        modifier: such as "shift".
    """
    handle = session.client.gui.add_command(label, hotkey=hotkey, modifier=modifier)

    def run(_: object) -> None:
        action()

    handle.on_trigger(run)
    if hotkey is not None:
        parts: list[str] = [*(modifier.split("+") if modifier else []), hotkey]
        keys = " ".join(_NAMES.get(part, part.capitalize()) for part in parts)
        session.add_shortcut(keys, label)
