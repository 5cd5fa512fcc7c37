"""Dataclasses to command lines, by tyro: what the commands' options have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

Options = TypeVar("Options")

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
Device = Literal["auto", "cpu", "cuda"]
Antialias = Literal["classic", "antialiased", "mip"]


def parse(
    kind: type[Options], command: str, arguments: Sequence[str], examples: str, default: Options | None = None
) -> Options:
    """The options that the words after `splat <command>` give. Prints and exits on --help and on a wrong word.

    Args:
        kind: a dataclass; its docstring is the command's description, a field's docstring the flag's help.
        examples: shell lines shown under the description.
        default: values for what the words leave open, in place of the dataclass's own.
    """
    return tyro.cli(
        kind,
        prog=f"splat {command}",
        description=f"{kind.__doc__}\n\nExamples:\n{examples}",
        args=list(arguments),
        default=tyro.MISSING_NONPROP if default is None else default,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
