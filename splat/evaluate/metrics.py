"""How close renders come to photos the scene was not trained on: PSNR and SSIM, view by view.

PSNR is said twice: as it is, and with the render's colours fitted to each photo, since the exposure and white balance
of a photo that was not trained on is nothing a scene could know. Where training refined poses, it is said a third time,
with the pose fitted to each photo, since those of held-out photos were not refined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat import checks
from splat.cameras import Cameras
from splat.datasets.scene import Scene
from splat.evaluate.poses import fit_pose
from splat.gaussians import Gaussians
from splat.ops.ssim import ssim as mean_ssim
from splat.render import render

#: PSNR of two equal images, dB: mean squared errors below 1e-10 (a 400th of an 8-bit step) count as that.
PSNR_MAX = 100.0
#: What shows through where nobody said otherwise.
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ViewMetrics:
    """One view's scores.

    Attributes:
        name: the photo's.
        psnr: dB.
        psnr_corrected: dB, with the render's colours fitted to the photo, see `fit_colours`.
        ssim: in [-1, 1].
        seconds: time to render the view, without reading the photo.
        lpips: perceptual distance, 0 is equal; None when it was not measured.
        psnr_aligned: dB, from the pose that brings the render closest to the photo, see `poses.fit_pose`; None when no
            pose was fitted.
    """

    name: str
    psnr: float
    psnr_corrected: float
    ssim: float
    seconds: float
    lpips: float | None = None
    psnr_aligned: float | None = None


def mean(views: Sequence[ViewMetrics], name: str) -> float | None:
    """The mean of one score over the views; None where it was not measured."""
    values = [value for view in views if (value := getattr(view, name)) is not None]
    return sum(values) / len(values) if values else None


def psnr(rendered: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio, dB, with 1 as the peak.

    Args:
        rendered: [H, W, 3], clamped to [0, 1] here, as a screen would.
        target: [H, W, 3] in [0, 1].
        mask: [H, W], the pixels that count are above 0; all if None.

    Returns:
        A scalar tensor, at most PSNR_MAX.
    """
    sizes: dict[str, int] = {}
    checks.shape("rendered", rendered, ("H", "W", 3), sizes)
    checks.shape("target", target, ("H", "W", 3), sizes)
    squares = (rendered.clamp(0, 1) - target).square().mean(-1)
    if mask is not None:
        checks.shape("mask", mask, ("H", "W"), sizes)
        squares = squares[mask > 0]
    return -10 * squares.double().mean().clamp(min=10 ** (-PSNR_MAX / 10)).log10()


def fit_colours(rendered: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """The render with the affine map of its colours, one for all pixels, that brings it closest to a photo: the least
    sum of squares over the pixels that count.

    Args:
        rendered, target, mask: as in `psnr`.

    Returns:
        [H, W, 3], not clamped.

    Source:
        The field's "cc PSNR", with an affine map as in Mildenhall et al., "NeRF in the dark", 2022.
    """
    rendered = rendered.clamp(0, 1)
    inside = slice(None) if mask is None else mask > 0
    colours = torch.cat([rendered, torch.ones_like(rendered[..., :1])], dim=-1).double()
    seen, wanted = colours[inside].reshape(-1, 4), target[inside].reshape(-1, 3).double()
    # A render of one colour determines no map: the least one is taken.
    fitted = torch.linalg.pinv(seen.T @ seen, hermitian=True) @ (seen.T @ wanted)
    return (colours @ fitted).to(rendered.dtype)


def ssim(rendered: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean structural similarity: 11 x 11 Gaussian window, sigma 1.5, zeros beyond the border, per channel.

    With a mask the pixels outside it are the target's in both images, so their own dissimilarity is 0, and the sum of
    dissimilarities is divided by the number of pixels inside.

    Args:
        rendered, target, mask: as in `psnr`.

    Returns:
        A scalar tensor in [-1, 1].

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    checks.shape("target", target, ("H", "W", 3))
    rendered = rendered.clamp(0, 1)
    if mask is None:
        return mean_ssim(rendered[None].contiguous(), target[None].contiguous())[0]
    inside = mask > 0
    rendered = torch.where(inside[..., None], rendered, target)
    whole = mean_ssim(rendered[None].contiguous(), target[None].contiguous())[0]
    return (1 - (1 - whole) * inside.numel() / inside.sum().clamp(min=1)).clamp(min=-1)


def render_view(gaussians: Gaussians, camera: Cameras, *, antialias: str, background: Tensor | None) -> Tensor:
    """[H, W, 3] the scene as a view would have photographed it, clamped to [0, 1].

    Args:
        gaussians: in the scene's normalised world.
        camera: the view's, on any device.
        background: [3] what shows through; black if None.
    """
    camera = camera.to(gaussians.device)
    if background is not None:
        background = background.to(gaussians.device)
    with torch.no_grad():
        return render(gaussians, camera, antialias=antialias, background=background).rgb[0].clamp(0, 1)


def photo(scene: Scene, index: int, device: torch.device) -> Tensor:
    """[H, W, 3] float32 in [0, 1]: the photo of a view."""
    return scene.image(index).to(device).float() / 255


def evaluate_views(
    gaussians: Gaussians,
    scene: Scene,
    indices: Iterable[int],
    *,
    antialias: str,
    background: Tensor | None = None,
    align: bool = False,
    lpips: Callable[[Tensor, Tensor], float] | None = None,
    progress: Callable[[ViewMetrics], None] | None = None,
) -> list[ViewMetrics]:
    """Scores renders against photos, view by view.

    Args:
        gaussians: in the scene's normalised world.
        indices: into `scene.views`.
        antialias: the mode the scene was trained with.
        background: [3] what shows through; black if None.
        align: fit each view's pose to its photo as well, which takes some 80 renders.
        lpips: measures the perceptual distance of two [H, W, 3] images, see `perceptual.lpips_metric`.
        progress: called with each view's scores as they come.
    """
    scores = []
    for index in indices:
        target, camera = photo(scene, index, gaussians.device), scene.views[index].camera
        mask = scene.mask(index)
        mask = None if mask is None else mask.to(gaussians.device)
        started = time.perf_counter()
        rendered = render_view(gaussians, camera, antialias=antialias, background=background)
        if rendered.is_cuda:
            torch.cuda.synchronize(rendered.device)
        seconds = time.perf_counter() - started
        aligned = None
        if align:
            found = fit_pose(gaussians, camera, target, mask, antialias=antialias, background=background)
            fitted = render_view(gaussians, found, antialias=antialias, background=background)
            aligned = float(psnr(fitted, target, mask))
        scores.append(
            ViewMetrics(
                name=scene.views[index].name,
                psnr=float(psnr(rendered, target, mask)),
                psnr_corrected=float(psnr(fit_colours(rendered, target, mask), target, mask)),
                ssim=float(ssim(rendered, target, mask)),
                seconds=seconds,
                lpips=None if lpips is None else lpips(rendered, target),
                psnr_aligned=aligned,
            )
        )
        if progress is not None:
            progress(scores[-1])
    return scores
