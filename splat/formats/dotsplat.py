""".splat, what antimatter15's viewer and many after it load: 32 bytes a Gaussian, no header, no view-dependent colours.

Of each Gaussian: centre and scales (linear) as float32; red, green, blue and opacity as bytes; the quaternion wxyz as
bytes that stand for (byte - 128) / 128. Viewers show what has arrived of a file, so that the Gaussians that show most,
by volume and opacity, come first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from splat.errors import SplatError
from splat.files import atomic
from splat.formats.blocks import for_blocks, read_rows
from splat.formats.clean import MAX_LOG_SCALE, MAX_LOGIT, packable, repaired
from splat.gaussians import SH_C0, Gaussians

RECORD = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])


def read(path: Path) -> Gaussians:
    """Reads a .splat file; see `splat.formats.read`."""
    size = path.stat().st_size
    count, rest = divmod(size, RECORD.itemsize)
    if rest or not count:
        raise SplatError(
            f"{path} has {size:,} bytes, which is no number of whole Gaussians of {RECORD.itemsize}: "
            "it is cut short or no .splat file, get it again"
        )
    scene = Gaussians(
        torch.empty(count, 3),
        torch.empty(count, 4),
        torch.empty(count, 3),
        torch.empty(count),
        torch.empty(count, 1, 3),
    )
    means, quats, log_scales, logits, sh = (tensor.numpy() for tensor in scene.parameters().values())
    levels = torch.arange(256).double() / 255
    logits_of = torch.logit(levels).clamp(-MAX_LOGIT, MAX_LOGIT).float().numpy()
    colours_of = ((levels - 0.5) / SH_C0).float().numpy()

    def decode(rows: slice) -> None:
        records = read_rows(path, 0, rows, RECORD, 1)[:, 0]
        means[rows] = records["means"]
        # A scale of zero becomes minus infinity and one below it no number, which `repaired` sees to.
        with np.errstate(divide="ignore", invalid="ignore"):
            log_scales[rows] = np.log(records["scales"])
        sh[rows, 0] = colours_of[records["rgba"][:, :3]]
        logits[rows] = logits_of[records["rgba"][:, 3]]
        quats[rows] = (records["quats"].astype(np.float32) - 128) / 128

    for_blocks(count, decode)
    return repaired(path, scene)


def write(gaussians: Gaussians, path: Path) -> None:
    """Writes a .splat file; see `splat.formats.write`."""
    scene = packable(gaussians, 0)
    if not len(scene):
        raise SplatError(f"{path}: a .splat file cannot hold a scene without Gaussians; choose another format")
    order = torch.argsort(scene.log_scales.sum(1) + scene.opacities.log(), descending=True, stable=True).numpy()
    means, quats, log_scales, logits, sh = (tensor.numpy() for tensor in scene.parameters().values())
    records = np.empty(len(scene), RECORD)

    def encode(rows: slice) -> None:
        block, picked = records[rows], order[rows]
        block["means"] = means[picked]
        block["scales"] = np.exp(np.minimum(log_scales[picked], MAX_LOG_SCALE))
        block["rgba"][:, :3] = _bytes((0.5 + SH_C0 * sh[picked, 0]) * 255)
        block["rgba"][:, 3] = _bytes(255 / (1 + np.exp(-logits[picked])))
        # Minus one has a byte and one has none, so the largest component is made negative: both are one rotation.
        rotations = quats[picked]
        largest = np.take_along_axis(rotations, np.abs(rotations).argmax(1)[:, None], 1)
        block["quats"] = _bytes(rotations * np.where(largest > 0, -128, 128) + 128)

    for_blocks(len(scene), encode)
    with atomic(path) as temporary:
        # tofile() would not say that the disk got full at the end.
        temporary.write_bytes(records.data)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
