"""Numbers and sentences as a person would read them."""

from __future__ import annotations

import html
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


def paragraph(*lines: str) -> str:
    """HTML of lines that hold foreign text, such as a file's name: Markdown would draw the tags and open the pictures
    that it names."""
    text = "<br>".join(html.escape(line) for line in lines if line)
    return f'<p style="margin: 0.5em 0.8em; font-size: 0.875em">{text}</p>' if text else ""
