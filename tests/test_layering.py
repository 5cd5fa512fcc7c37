"""Who may import whom: docs/architecture.md's rows, enforced on every import statement of the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Folder -> the package it is.
FOLDERS = {"splat": "splat", "datasets": "splat.datasets", "viewer": "splat.viewer"}

#: From the bottom up. A module may import its own row's and all lower rows' modules. The longest name counts.
ROWS = [
    {"splat.errors", "splat.files", "splat.checks", "splat.quaternions"},
    {"splat.gaussians", "splat.cameras", "splat.lens", "splat.native", "splat.morton"},
    {"splat.ops"},
    {
        "splat.render",
        "splat.antialias",
        "splat.budget",
        "splat.flight",
        "splat.video",
        "splat.formats",
        "splat.datasets",
    },
    {"splat.evaluate"},
    {"splat.train"},
    {"splat.compress", "splat.lod", "splat.compat"},
    {"splat.viewer", "splat.export", "splat.datasets.capture"},
    {"splat.cli", "splat.__main__"},
]
#: The public face fetches each name on first use, from anywhere.
FACE = "splat"
#: The readable truth stands beside the rows: it takes nothing but these, and only these take it.
REFERENCE = "splat.reference"
REFERENCE_TAKES = {REFERENCE, "splat.cameras"}
TAKE_REFERENCE = {"splat.gaussians"}


def modules() -> dict[str, Path]:
    """Every module of the package by name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """The package's own modules that a file imports, anywhere in it and for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from splat.ops import blend` may mean a module or a name in one.
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inside & known) or {node.module or ""}
    return {name for name in names if name == FACE or name.startswith(f"{FACE}.")}


def row(module: str) -> int:
    """The height of a module, by the longest name in ROWS that covers it; -1 where none does."""
    covering = [
        (len(name), height)
        for height, names in enumerate(ROWS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    return max(covering)[1] if covering else -1


def problem(module: str, imported: str) -> str:
    """Why a module may not import another; empty if it may."""
    if module == FACE or module.startswith(REFERENCE):
        allowed = module == FACE or imported in REFERENCE_TAKES or imported.startswith(REFERENCE)
        return "" if allowed else f"{module} imports {imported}: the reference takes torch only"
    if imported.startswith(REFERENCE):
        return "" if module in TAKE_REFERENCE else f"{module} imports {imported}: the reference is for tests"
    if imported == FACE:
        return "" if row(module) == len(ROWS) - 1 else f"{module} imports the public face"
    return "" if row(module) >= row(imported) else f"{module} imports {imported}, which stands above it"


MODULES = modules()


@pytest.mark.parametrize("module", [name for name in MODULES if name != FACE])
def test_imports_only_downwards(module: str) -> None:
    assert row(module) >= 0 or module.startswith(REFERENCE), f"{module} has no row: add it to docs/architecture.md"
    problems = [text for name in imports(MODULES[module], set(MODULES)) if (text := problem(module, name))]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("splat.ops.blend", "splat.render"),
        ("splat.train.trainer", "splat.viewer.server"),
        ("splat.datasets.scene", "splat.datasets.capture"),
        ("splat.evaluate.metrics", "splat.train.config"),
        ("splat.ops.project", "splat.reference.project"),
        ("splat.reference.project", "splat.ops.project"),
        ("splat.train.run", "splat"),
    ],
)
def test_the_check_notices_an_import_that_goes_up(module: str, imported: str) -> None:
    assert problem(module, imported)


def test_no_relative_imports() -> None:
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), (
                f"{module} line {node.lineno}: import by full name"
            )
