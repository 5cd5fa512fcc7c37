"""Splat: 3D Gaussian Splatting on any machine.

    import splat
    scene = splat.load("scene.ply")
    image = splat.render(scene, cameras).rgb

Importing this module loads nothing heavy; each name is fetched on first use.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splat.cameras import Cameras as Cameras
    from splat.errors import SplatError as SplatError
    from splat.formats import read as load
    from splat.formats import write as save
    from splat.gaussians import Gaussians as Gaussians
    from splat.render import Rendering as Rendering
    from splat.render import render as render
    from splat.train import train as train

__version__ = "0.1.0"

_HOME = {
    "Cameras": ("splat.cameras", "Cameras"),
    "Gaussians": ("splat.gaussians", "Gaussians"),
    "Rendering": ("splat.render", "Rendering"),
    "SplatError": ("splat.errors", "SplatError"),
    "load": ("splat.formats", "read"),
    "render": ("splat.render", "render"),
    "save": ("splat.formats", "write"),
    "train": ("splat.train", "train"),
}
__all__ = ["Cameras", "Gaussians", "Rendering", "SplatError", "load", "render", "save", "train"]


class _Face(ModuleType):
    """Importing a submodule binds it to its package; here `render` and `train` stay the functions they promise."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'splat' has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
