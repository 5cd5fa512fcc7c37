"""Images made without some of the Gaussians, so that none relies on what others hide.

The fewer photos there are, the more of what looks right in each is wrong beside them: Gaussians that make up for one
another's mistakes. Where any of them may be missing, they cannot.

Source:
    Park et al., "DropGaussian: Structural regularization for sparse-view Gaussian splatting", CVPR 2025. Differs: the
    share depends on the number of photos, where the paper has 0.2 for few of them.
"""

from __future__ import annotations

import torch

from splat.ops.project import Projection

#: Share of the Gaussians left out at most.
MOST = 0.4
#: Opacity up to which a Gaussian covers for those left out; at 1 it would let through no gradient.
MOST_OPACITY = 0.9999


def share_left_out(dropout: float, photos: int, done: float) -> float:
    """The share of the Gaussians to leave out of an image.

    Args:
        dropout: at the end of a run, times the number of photos.
        photos: that are trained on.
        done: share of the run that is over; none are left out at the start, and from then on ever more.
    """
    return min(dropout / photos, MOST) * done


def thin_out(projection: Projection, share: float, generator: torch.Generator) -> Projection:
    """A projection without a share of its Gaussians, drawn anew; the others are more opaque by as much.

    The mean over all draws is the image of all: a pixel is linear in the opacity of each Gaussian.
    Differentiable: gradients of those that remain go on to the projection, those left out have none.

    Args:
        share: in [0, 1).
        generator: of the run; on the CPU, wherever the Gaussians are.
    """
    if share == 0:
        return projection
    opacities, extents = projection.opacities, projection.extents
    # Drawn where it is needed.
    drawing = torch.Generator(opacities.device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
    stays = torch.rand(opacities.shape[1], device=opacities.device, generator=drawing) >= share
    covering = (opacities / (1 - share)).clamp(max=MOST_OPACITY)
    with torch.no_grad():
        # Extents end where alpha falls below 1/255, which is farther out now; not a number for what is culled anyway.
        wider = ((255 * covering).log() / (255 * opacities).log()).sqrt()
    return projection._replace(
        opacities=torch.where(stays, covering, 0),
        extents=torch.where(stays[:, None] & (extents > 0), wider[..., None] * extents, 0),
    )
