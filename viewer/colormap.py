"""Numbers as colours, and the key that says which is which."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


@functools.cache
def palette(name: str) -> Tensor:
    """[256, 3] in [0, 1], the colours of one of matplotlib's maps from low to high."""
    import matplotlib

    return torch.tensor(matplotlib.colormaps[name](range(256)), dtype=torch.float32)[:, :3]


def coloured(values: Tensor, name: str) -> Tensor:
    """[..., 3] in [0, 1], the colours of values in [0, 1]; what lies outside takes the nearer end's."""
    return palette(name).to(values.device)[(values * 255).round().clamp(0, 255).long()]


def key(name: str, low: str, high: str) -> str:
    """A strip of HTML: the colours from left to right, between what their ends mean."""
    stops = ", ".join("rgb({:.0f} {:.0f} {:.0f})".format(*rgb) for rgb in (255 * palette(name)[::32]).tolist())
    return (
        '<div style="display: flex; align-items: center; gap: 0.6em; padding: 0.2em 1em; font-size: 0.8em">'
        f'<span>{low}</span><span style="flex: 1; height: 0.8em; border-radius: 0.2em; '
        f'background: linear-gradient(to right, {stops})"></span><span>{high}</span></div>'
    )
