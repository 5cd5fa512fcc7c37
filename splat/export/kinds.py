"""What can be exported: the scene formats, and the page that shows a scene. Importing this loads nothing heavy."""

from __future__ import annotations

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
    suffix = INSIDE_PAGE if is_page(path) and INSIDE_PAGE in FORMATS else suffix_of(path)
    if not FORMATS[suffix].writes:
        raise SplatError(f"{path}: {suffix} files are read here, not written; choose one of {', '.join(written())}")
    return FORMATS[suffix]


def is_page(path: Path) -> bool:
    return path.name.lower().endswith(PAGE)


def written() -> list[str]:
    """The ends of the names of what can be exported."""
    page = [PAGE] if INSIDE_PAGE in FORMATS else []
    return sorted(suffix for suffix, held in FORMATS.items() if held.writes) + page


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
    """What each kind of file can hold, for people: one line each."""
    rows = [("file", "SH up to", "filter it names", "")]
    for suffix, held in sorted(FORMATS.items()):
        notes = [held.name, held.limits, "" if held.writes else "only read"]
        rows.append((suffix, str(held.sh_degree), " ".join(held.antialias), "; ".join(filter(None, notes))))
        if suffix == INSIDE_PAGE:
            rows.append((PAGE, rows[-1][1], rows[-1][2], f"a page that shows the scene, which it holds as {suffix}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"  {'  '.join(map(str.ljust, row[:3], widths))}  {row[3]}".rstrip() for row in rows)
