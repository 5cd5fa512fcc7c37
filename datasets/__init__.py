"""Captures: photos with known cameras, and how they come to be known."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splat.datasets.scene import Scene as Scene
    from splat.datasets.scene import View as View
    from splat.datasets.scene import find_format as find_format
    from splat.datasets.scene import open_scene as open_scene

if __name__ != "splat.datasets":
    raise ImportError(
        "this folder is the package splat.datasets; a bare `import datasets` found it through the project's root"
    )

__all__ = ["Scene", "View", "find_format", "open_scene"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("splat.datasets.scene"), name)
