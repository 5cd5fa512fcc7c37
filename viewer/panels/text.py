"""Numbers as a person would write them."""

from __future__ import annotations

import re

#: The folders of an absolute path; a folder's name may hold spaces.
_NAME = r"[^\s/\\:;,'\"()]+"
_FOLDERS = re.compile(rf"(?<![\w.~/\\:])(?:[A-Za-z]:[\\/]|~?/|\\\\)(?:{_NAME}(?: {_NAME})*[\\/])*(?=[\w.])")


def number(value: int) -> str:
    """With thin spaces between thousands, which read the same in every language."""
    return f"{value:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """In the unit that a person would say it in."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def without_folders(text: str) -> str:
    """A sentence for the page: of every file on this machine it keeps the name, since others may read it too."""
    return _FOLDERS.sub("", text)
