"""What the reports are made of: self-contained HTML, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from torch import Tensor

from splat.evaluate.pictures import jpeg
from splat.files import atomic

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667; --line: #d8dce2; --card: #f4f6f8; --page: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #343a42; --card: #1c2126; --page: #121519 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--page) }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem }
p, figcaption { color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .7rem; margin: 1.2rem 0 }
.tiles div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem }
.tiles b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.tiles span { color: var(--soft); font-size: .85rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th { color: var(--soft); font-weight: 500 }
.views { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .5rem;
  margin: .3rem 0 1.4rem }
figure { margin: 0 } img { width: 100%; display: block; border-radius: .3rem }
figcaption { font-size: .85rem }
svg { width: 100%; height: auto }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Splat report</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Writes a page, whole or not at all.

    Args:
        parts: HTML, such as `section` gives it.

    Raises:
        SplatError: no permission, or a full disk.
    """
    with atomic(path) as temporary:
        temporary.write_text(_PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts)), encoding="utf-8")


def section(title: str, content: str) -> str:
    """HTML under a heading; nothing where there is none."""
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def tiles(values: Mapping[str, str]) -> str:
    """Figures by their labels."""
    each = (f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in values.items())
    return f'<div class="tiles">{"".join(each)}</div>'


def pictures(caption: str, name: str, images: Mapping[str, Tensor]) -> str:
    """Images [H, W, 3] in [0, 1] of one view side by side, under their labels; `name` is the view's."""
    figures = "".join(
        f'<figure><img src="{jpeg(image)}" alt="{escape(f"{label} of {name}", quote=True)}">'
        f"<figcaption>{escape(label)}</figcaption></figure>"
        for label, image in images.items()
    )
    return f'<div>{escape(caption)}</div>\n<div class="views">{figures}</div>\n'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns; the first is a name, the others are numbers."""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    top = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table></div>'


def number(value: float | None, digits: int) -> str:
    """A number for a tile or a cell; nothing for none."""
    return "" if value is None else f"{value:.{digits}f}"
