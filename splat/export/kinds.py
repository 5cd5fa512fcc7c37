"""What can be exported: the scene formats, and the page that shows a scene. Importing this loads nothing heavy."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError
from splat.formats import FORMATS, Format, suffix_of

if TYPE_CHECKING:
    from splat.gaussians import Gaussians

#: The page holds a scene in this format.
PAGE, INSIDE_PAGE = ".html", ".sog"


def kind(path: Path) -> Format:
    """What the kind of file that a path names can hold.

    Raises:
        SplatError: Splat does not write it.
    """
    choose = f"choose one of {', '.join(written())}"
    try:
        suffix = INSIDE_PAGE if is_page(path) else suffix_of(path)
    except SplatError:
        raise SplatError(f"{path}: the name's end says no kind of file that is written here; {choose}") from None
    if not FORMATS[suffix].writes:
        raise SplatError(f"{path}: {suffix} files are read here, not written; {choose}")
    return FORMATS[suffix]


def is_page(path: Path) -> bool:
    return path.name.lower().endswith(PAGE)


def written() -> list[str]:
    """The ends of the names of what can be exported."""
    return [*sorted(suffix for suffix, held in FORMATS.items() if held.writes), PAGE]


def held_filter(antialias: str, held: Format) -> str:
    """The filter that a file is read with, of a scene meant for the filter `antialias`."""
    if antialias in held.antialias:
        return antialias
    # Both other filters compensate opacities.
    return "antialiased" if "antialiased" in held.antialias else "classic"


def lost(gaussians: Gaussians, path: Path) -> list[str]:
    """What a kind of file cannot hold of a scene, a sentence each; rounding is not mentioned."""
    held, sentences = kind(path), []
    if gaussians.sh_degree > held.sh_degree:
        sentences.append(
            f"{held.name} holds SH degree {held.sh_degree}, so degree {gaussians.sh_degree} is cut: "
            + ("colours no longer depend on where one looks from" if held.sh_degree == 0 else "reflections get coarser")
        )
    read_as = held_filter(gaussians.antialias, held)
    if read_as != gaussians.antialias:
        how = "fine detail gets a little softer" if read_as == "antialiased" else "thin things look thicker from afar"
        sentences.append(f"{held.name} cannot name the filter {gaussians.antialias}, it is shown {read_as}: {how}")
    return sentences


def table() -> str:
    """What each kind of file can hold, for people."""
    groups: dict[Format, list[str]] = {}
    for suffix, held in sorted(FORMATS.items()):
        groups.setdefault(held, []).append(suffix)
    lines = []
    for held, suffixes in groups.items():
        names = [*suffixes, *([PAGE] if INSIDE_PAGE in suffixes else [])]
        degree = f"SH degree {held.sh_degree}" + (" at most" if held.sh_degree else "")
        read = "" if held.writes else "; read, not written"
        lines.append(f"  {' '.join(names):16}  {degree:17}  filter {', '.join(held.antialias)}{read}")
        page = f"{PAGE}: a page that shows it" if INSIDE_PAGE in suffixes else ""
        words = "; ".join(filter(None, [held.name, held.limits, page]))
        lines.append(textwrap.fill(words, 96, initial_indent=20 * " ", subsequent_indent=20 * " "))
    return "\n".join(lines)
