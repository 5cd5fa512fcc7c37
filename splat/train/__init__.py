"""Training: from a capture to a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splat.train.run import train as train


def __getattr__(name: str) -> Any:
    # The loop pulls in the native library and the datasets, which readers of the settings do not need.
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from splat.train.run import train

    return train
