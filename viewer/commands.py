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


#: What viser's own camera does.
CAMERA = (
    Shortcut("Drag, one finger", "turn around the scene"),
    Shortcut("Right drag, two fingers", "move sideways and up"),
    Shortcut("Wheel, pinch", "nearer and farther"),
    Shortcut("W A S D", "move forwards, left, back, right"),
    Shortcut("Q E", "move down, up"),
    Shortcut("Arrow keys", "turn"),
    Shortcut("Ctrl K", "search all commands"),
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
    handle.on_trigger(lambda _: action())
    if hotkey is not None:
        parts = [*(modifier.split("+") if modifier else []), hotkey]
        keys = " ".join(_NAMES.get(part, part.capitalize()) for part in parts)
        session.shortcuts.append(Shortcut(keys, label))
