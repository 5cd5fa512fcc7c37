"""Pictures for the report: photos, renders and error maps as JPEG, small enough to live inside one HTML file."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor

#: Mean absolute error over the channels at which the error map is white: a quarter of the range is a gross mistake.
ERROR_WHITE = 0.25
MAX_SIDE = 900


def error_map(rendered: Tensor, target: Tensor, white: float = ERROR_WHITE) -> Tensor:
    """[H, W, 3] mean absolute difference over the channels, black (0) through red and yellow to white.

    Args:
        rendered, target: [H, W, 3] in [0, 1].
        white: the difference that is shown white.
    """
    heat = ((rendered - target).abs().mean(-1, keepdim=True) / white).clamp(0, 1)
    return (3 * heat - torch.tensor([0.0, 1.0, 2.0], device=heat.device)).clamp(0, 1)


def jpeg(image: Tensor) -> str:
    """A data URL of an [H, W, 3] image in [0, 1], shrunk so that no side is above MAX_SIDE pixels."""
    from PIL import Image

    picture = Image.fromarray((image.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy())
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
