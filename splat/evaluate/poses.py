"""Where the scene itself would have taken a photo from: the pose at which its render comes closest.

A run that refines the poses of its training photos leaves those of held-out photos as the capture has them, so a scene
that has come right is compared through cameras that have not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from splat.cameras import Cameras, moved
from splat.gaussians import Gaussians
from splat.render import render

#: What sides are divided by, one after the other: at a smaller size a photo is recognised from farther away.
FACTORS = (4, 2, 1)
#: Steps at each size at most; the last is one that takes off less than this share of the squared error.
STEPS, LEAST_GAIN = 6, 1e-3
#: How far derivatives look to either side, in pixels of what is at distance 1.
REACH = 0.1
#: Share of the diagonal that is added to it, at first, and its factors after steps that helped and that did not.
DAMPING, HELPED, FAILED = 1e-3, 0.25, 8.0


@torch.no_grad()
def fit_pose(
    gaussians: Gaussians,
    camera: Cameras,
    target: Tensor,
    mask: Tensor | None = None,
    *,
    antialias: str,
    background: Tensor | None = None,
) -> Cameras:
    """Moves a camera to where the scene, which stays as it is, looks most like a photo.

    Args:
        gaussians: in the camera's world, where cameras are about 1 away from what they look at.
        camera: where it is thought to be, a batch of one, on any device.
        target: [H, W, 3] the photo, in [0, 1].
        mask: [H, W], the pixels that count are above 0; all if None.
        antialias, background: as for `render`.

    Returns:
        The camera with the pose that was found; the squared error of its render is never above that of the given one.

    Source:
        Test-time optimisation of poses as in Lin et al., "BARF: bundle-adjusting neural radiance fields", 2021.
        Differs: Levenberg-Marquardt, coarse to fine, in place of Adam: a turn and a displacement look nearly alike, and
        along what little tells them apart Adam creeps. Six derivatives of the whole image are a dozen renders.
    """
    camera = camera.to(gaussians.device)
    if background is not None:
        background = background.to(gaussians.device)
    viewmat = camera.viewmats[0].double()
    still = twist = torch.zeros(6, dtype=torch.float64, device=viewmat.device)

    def at(twist: Tensor) -> Cameras:
        return replace(camera, viewmats=moved(viewmat, twist)[None].to(camera.viewmats))

    def errors_at_size(width: int, height: int) -> Callable[[Tensor], Tensor]:
        photo = _resized(target, width, height)
        weights = None if mask is None else _resized((mask > 0)[..., None].float(), width, height)

        def errors(twist: Tensor) -> Tensor:
            """[H * W * 3] what the render differs by."""
            shown = render(gaussians, at(twist).resized(width, height), antialias=antialias, background=background)
            difference = shown.rgb[0].clamp(0, 1) - photo
            return (difference if weights is None else difference * weights).flatten()

        return errors

    for factor in FACTORS:
        width, height = max(1, camera.width // factor), max(1, camera.height // factor)
        errors = errors_at_size(width, height)
        # A smaller size may have led astray.
        start = twist if _squares(errors(twist)) < _squares(errors(still)) else still
        twist = _descend(errors, start, REACH * camera.width / (width * float(camera.Ks[0, 0, 0])))
    return at(twist)


def _descend(errors: Callable[[Tensor], Tensor], twist: Tensor, reach: float) -> Tensor:
    """[6] a twist with a sum of squared errors that is smaller, or the same (Levenberg-Marquardt)."""
    found, damping = errors(twist), DAMPING
    for _ in range(STEPS):
        ways = reach * torch.eye(6, dtype=twist.dtype, device=twist.device)
        slopes = torch.stack([(errors(twist + way) - errors(twist - way)) / (2 * reach) for way in ways])
        normal = (slopes @ slopes.T).double()
        damped = normal + damping * normal.diagonal().diag()
        tried = twist - torch.linalg.pinv(damped, hermitian=True) @ (slopes @ found).double()
        after = errors(tried)
        gain = 1 - _squares(after) / max(_squares(found), 1e-30)
        if gain > 0:
            twist, found = tried, after
        damping *= HELPED if gain > 0 else FAILED
        if 0 < gain < LEAST_GAIN:
            break
    return twist


def _squares(errors: Tensor) -> float:
    return float(errors.double().square().sum())


def _resized(image: Tensor, width: int, height: int) -> Tensor:
    """[height, width, C] of an [H, W, C], each pixel the mean of what it covers."""
    return interpolate(image.permute(2, 0, 1)[None], (height, width), mode="area")[0].permute(1, 2, 0)
