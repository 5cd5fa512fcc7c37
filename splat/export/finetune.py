"""Moves what is left of a scene so that its file, rounded as it will be, shows the original.

Rounding passes gradients straight through: every few steps the scene is written and read back, and until the next time
each number is rendered as it came back plus how far it has moved since. What counts is what the original shows from the
training views, not the photos: so no exposure, passer-by or pose of a photo gets into a copy.

Source:
    Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013: the straight-through
    estimator. Differs: rounding errors are renewed every ROUND steps only, since a whole file is written for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from splat.evaluate.metrics import render_view
from splat.export.progress import Progress
from splat.export.views import Views, shrunk, some
from splat.gaussians import Gaussians
from splat.ops.photometric import photometric_loss
from splat.train.frame import Frame
from splat.train.optimizer import Adam
from splat.train.representation import Plain

#: Steps between two roundings.
ROUND = 50
#: Views, evenly chosen, and pixels of each at most.
VIEWS, PIXELS = 64, 250_000
#: Learning rates at the first step, from which they fall to FALL of it; that of centres in distances between cameras.
RATES = {"means": 2e-5, "quats": 1e-3, "log_scales": 2.5e-3, "opacity_logits": 2e-2, "sh": 2.5e-3, "sh_rest": 5e-4}
FALL = 0.1

#: Writes a scene and reads it back.
RoundTrip = Callable[[Gaussians], Gaussians]


def finetune(
    copy: Gaussians,
    original: Gaussians,
    views: Views,
    steps: int,
    round_trip: RoundTrip,
    progress: Progress | None = None,
) -> Gaussians:
    """Optimises a copy, before it is written.

    Args:
        copy: what is left of the scene, on the original's device.
        round_trip: the file format's rounding; the Gaussians may come back in another order.

    Returns:
        The copy to write.
    """
    chosen = [shrunk(view, PIXELS) for view in some(views.trained, VIEWS)]
    positions = torch.cat([view.camera.positions for view in chosen])
    extent = float((positions - positions.mean(0)).norm(dim=1).amax()) or 1.0
    scene = Plain(copy)
    optimizer = Adam(scene.parameters)
    rounding = {name: torch.zeros_like(value) for name, value in copy.parameters().items()}
    antialias = copy.antialias
    generator = torch.Generator().manual_seed(0)
    order: list[int] = []
    for step in (progress or Progress()).track(range(steps), "finetune", steps):
        if step % ROUND == 0:
            antialias = _round(scene.parameters, rounding, copy.antialias, round_trip)
        order = order or torch.randperm(len(chosen), generator=generator).tolist()
        camera = chosen[order.pop()].camera.to(original.device)
        target = render_view(original, camera, antialias=original.antialias, background=views.background)
        shown = scene.gaussians().detach()
        frame = Frame(shown, camera, sh_degree=None, antialias=antialias)
        rgb = frame.render(background=views.background.to(original.device)).rgb
        photometric_loss(rgb, target[None].contiguous()).backward()
        fall = FALL ** (step / steps)
        rates = {name: fall * rate * (extent if name == "means" else 1.0) for name, rate in RATES.items()}
        optimizer.step(step + 1, rates, frame)
    left = {name: (value.detach() - rounding[name]) for name, value in scene.parameters.items()}
    return dataclasses.replace(copy, **left)


@torch.no_grad()
def _round(shown: dict[str, Tensor], rounding: dict[str, Tensor], antialias: str, round_trip: RoundTrip) -> str:
    """Renews the rounding errors in what is shown; gives the filter with which the file is read."""
    meant = Gaussians.of({name: value - rounding[name] for name, value in shown.items()})
    meant = dataclasses.replace(meant, antialias=antialias)
    back = round_trip(meant).to(meant.device)
    rows = _match(meant.means, back.means)
    back = back.with_sh_degree(meant.sh_degree)
    flips = (back.quats[rows] * meant.quats).sum(1, keepdim=True).sign()
    lengths = meant.quats.norm(dim=1, keepdim=True)
    for name, value in back.parameters().items():
        value = value[rows].to(shown[name])
        if name == "quats":
            value = value * flips * lengths
        rounding[name] = value - meant.parameters()[name]
        shown[name].copy_(value)
    return back.antialias


def _match(meant: Tensor, back: Tensor) -> Tensor:
    """[N] where in the file each Gaussian is, by its centre."""
    from scipy.spatial import KDTree

    nearest = KDTree(back.cpu().numpy()).query(meant.cpu().numpy(), workers=-1)[1]
    return torch.from_numpy(nearest).to(meant.device)
