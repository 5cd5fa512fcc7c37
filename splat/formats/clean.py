"""What every reader and writer does to a scene so that no number in it breaks anybody's renderer."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import torch

from splat.errors import SplatError
from splat.gaussians import Gaussians
from splat.morton import morton_order

#: sigmoid(15) is 1 within float32's last digits; an infinite logit has no gradient and breaks other readers.
MAX_LOGIT = 15.0
#: Log-scale of an axis without thickness: 2DGS files leave the third one out, and others say 0.
FLAT_LOG_SCALE = -20.0
#: e^88 is the largest whole power of e that float32 holds.
MAX_LOG_SCALE = 88.0
#: A compressed file claims no more Gaussians than this a byte, each of up to 236 bytes of memory, lest a small one fill
#: it; real ones take 6 bytes or more each. A few are always allowed.
MAX_PER_BYTE, ALWAYS_ALLOWED = 4, 1 << 18


def check_claim(path: Path, count: int, nbytes: int) -> None:
    """Whether so many bytes, compressed, can be so many Gaussians.

    Raises:
        SplatError: they are too few.
    """
    if count > max(MAX_PER_BYTE * nbytes, ALWAYS_ALLOWED):
        raise SplatError(f"{path} claims {count:,} Gaussians, which its {nbytes:,} bytes cannot hold: "
                         "it is damaged, get the file again")  # fmt: skip


def repaired(path: Path, gaussians: Gaussians) -> Gaussians:
    """What was read, with infinite opacities and scales of zero bounded; what is not finite is dropped with a warning.

    Args:
        path: of the file, for the warning.
        gaussians: on the CPU; changed in place.
    """
    logits, scales, quats = gaussians.opacity_logits, gaussians.log_scales, gaussians.quats
    logits[logits == torch.inf] = MAX_LOGIT
    logits[logits == -torch.inf] = -MAX_LOGIT
    scales[scales == -torch.inf] = FLAT_LOG_SCALE
    quats[(quats == 0).all(-1)] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    finite = _finite(gaussians)
    dropped = int((~finite).sum())
    if not dropped:
        return gaussians
    warnings.warn(f"{path}: {dropped:,} of {len(gaussians):,} Gaussians are not finite and were left out", stacklevel=4)
    return gaussians.select(finite)


def packable(gaussians: Gaussians, sh_degree: int) -> Gaussians:
    """What a format of few bits writes: float32 on the CPU, in Morton order, which makes neighbours alike.

    Args:
        gaussians: on any device.
        sh_degree: the highest that the format holds; what is beyond is cut off.

    Returns:
        A copy with unit quaternions, opacity logits in +-MAX_LOGIT, log-scales of at least FLAT_LOG_SCALE, and without
        the Gaussians that are not finite.
    """
    return packed(gaussians, sh_degree)[0]


def packed(gaussians: Gaussians, sh_degree: int) -> tuple[Gaussians, torch.Tensor]:
    """As `packable`, and [M] where each Gaussian of it was."""
    scene, order = in_order(gaussians, sh_degree)
    # Many times faster than indexing by a list, which may hold negative numbers, too.
    rows = {name: tensor.index_select(0, order) for name, tensor in scene.parameters().items()}
    return dataclasses.replace(scene, **rows), order


def in_order(gaussians: Gaussians, sh_degree: int) -> tuple[Gaussians, torch.Tensor]:
    """As `packed`, but the Gaussians are where they were, those that are not finite, too: nothing large is copied."""
    scene = gaussians.detach().to("cpu", torch.float32)
    if scene.sh_degree > sh_degree:
        scene = scene.with_sh_degree(sh_degree)
    scene = dataclasses.replace(
        scene,
        opacity_logits=scene.opacity_logits.clamp(-MAX_LOGIT, MAX_LOGIT),
        log_scales=scene.log_scales.clamp(min=FLAT_LOG_SCALE),
        quats=torch.nn.functional.normalize(scene.quats, dim=-1),
    )
    order = _finite(scene).nonzero()[:, 0]
    return scene, order[morton_order(scene.means[order])]


def _finite(gaussians: Gaussians) -> torch.Tensor:
    """[N] bool: whose numbers are all finite."""
    finite = torch.ones(len(gaussians), dtype=torch.bool)
    for tensor in gaussians.parameters().values():
        rows = tensor.flatten(1) if tensor.dim() > 1 else tensor[:, None]
        # A sum is finite only if all parts are, which settles nearly all rows; that of large numbers may be infinite.
        doubtful = (~rows.sum(1).isfinite()).nonzero()[:, 0]
        finite[doubtful] &= rows[doubtful].isfinite().all(1)
    return finite
