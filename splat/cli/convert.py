"""`splat convert`: a scene file in another format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from splat.cli.options import parse
from splat.cli.output import during, reporting, size
from splat.cli.runs import check_output, scene_file

EXAMPLES = """\
  splat convert scene.spz scene.ply
  splat convert run scene.sog
  splat convert downloaded.ksplat scene.glb --json"""


@dataclass
class Convert:
    """Writes a scene file in another format and says what that one cannot hold. It does not look whether the two look
    alike; `splat export` does, and makes them so."""

    source: Annotated[Path, tyro.conf.Positional]
    """Scene file, or a run's folder."""
    output: Annotated[Path, tyro.conf.Positional]
    """File to write; its name's end says the format. One that exists is replaced, once the new one is whole."""
    json: bool = False
    """Print one JSON object: output, bytes, gaussians, sh_degree (of the file written) and lost (sentences)."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Convert, "convert", arguments, EXAMPLES)
    with reporting(options.json) as report:
        from splat.errors import SplatError
        from splat.export.kinds import is_page, kind, lost
        from splat.formats import read, write

        if is_page(options.output):
            raise SplatError(f"{options.output} would be a page, no scene file: make it with `splat export`.")
        held = kind(options.output)
        source = scene_file(options.source)
        check_output(source, options.output)
        with during(f"read {source.name}"):
            gaussians = read(source)
        sentences = lost(gaussians, options.output)
        with during(f"write {options.output.name}"):
            write(gaussians, options.output)
        values = {
            "output": str(options.output),
            "bytes": options.output.stat().st_size,
            "gaussians": len(gaussians),
            "sh_degree": min(gaussians.sh_degree, held.sh_degree),
            "lost": sentences,
        }
        written = f"{options.output}: {len(gaussians):,} Gaussians, {size(values['bytes'])}"
        report(values, "\n".join([written, *(f"lost: {sentence}" for sentence in sentences)]))
