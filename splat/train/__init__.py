"""Training: from a capture to a scene. `splat.train(capture, output, iterations=2000)` is `splat.train.run.train`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splat.train.run import train as train


def __getattr__(name: str) -> Any:
    # The loop pulls in the native library and the datasets, which readers of the settings do not need.
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from splat.train.run import train

    return train


class _Callable(ModuleType):
    """Importing any part of this package binds `splat.train` to the module; it has to stay the function it promises."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.train(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
