"""gsplat's own strategies (PyPI, 1.5.3), trained as its example trainer does, over `splat.compat.gsplat`.

The strategies, their numbers and the optimiser are gsplat's: DefaultStrategy and MCMCStrategy, one torch.optim.Adam a
parameter, photos at full size throughout. Renderer, loss, photos and points are those of Splat, so that only training
differs. Step counts stated for 30,000 steps are scaled as Splat's are; DefaultStrategy, which knows no cap, is given
one as Splat's adc has it: the largest gradients first.
"""

from __future__ import annotations

import math
import time
from typing import Any

import gsplat.strategy.ops
import torch
from gsplat.strategy import DefaultStrategy, MCMCStrategy
from torch import Tensor

from splat.compat.gsplat import rasterization
from splat.datasets.scene import Scene
from splat.gaussians import Gaussians
from splat.ops.photometric import photometric_loss
from splat.train.config import TrainConfig, scaled
from splat.train.density.mcmc import share
from splat.train.init import initial_gaussians
from splat.train.schedule import ViewOrder
from splat.train.views import TrainingViews

#: gsplat's example: opacity and factor of the scales at the start, weights of mean opacity and mean scale in the loss.
STARTS = {"default": (0.1, 1.0), "mcmc": (0.5, 0.1)}
OPACITY_WEIGHT, SCALE_WEIGHT = 0.01, 0.01
#: Rates of gsplat's example; that of the means is in scene extents and falls to a hundredth.
RATES = {"means": 1.6e-4, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3, "shN": 2.5e-3 / 20}


class CappedDefault(DefaultStrategy):
    """DefaultStrategy that stays below a cap: where there is too little room, the threshold rises."""

    max_gaussians = 0

    def _grow_gs(self, params: Any, optimizers: Any, state: dict[str, Any], step: int) -> tuple[int, int]:
        gradients = state["grad2d"] / state["count"].clamp_min(1)
        room = max(self.max_gaussians - len(gradients), 0)
        threshold, ranked = self.grow_grad2d, gradients.sort(descending=True).values
        if room < len(ranked):
            self.grow_grad2d = max(threshold, float(ranked[room]))
        try:
            return super()._grow_gs(params, optimizers, state, step)
        finally:
            self.grow_grad2d = threshold


def train(scene: Scene, config: TrainConfig, kind: str) -> tuple[Gaussians, float, float]:
    """Trains on the CPU.

    Args:
        kind: "default" or "mcmc".

    Returns:
        The scene, seconds, and CPU seconds.
    """
    gsplat.strategy.ops.compute_relocation = _relocation
    gsplat.strategy.ops.quat_scale_to_covar_preci = _covariances
    torch.manual_seed(config.seed)
    generator, device = torch.Generator().manual_seed(config.seed), torch.device("cpu")
    params = _parameters(initial_gaussians(scene, config, generator), *STARTS[kind])
    rates = {**RATES, "means": RATES["means"] * scene.extent}
    optimizers = {name: torch.optim.Adam([params[name]], lr=rate, eps=1e-15) for name, rate in rates.items()}
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], 0.01 ** (1 / config.iterations))
    strategy = _strategy(config, kind)
    strategy.check_sanity(params, optimizers)
    state: dict[str, Any] = (
        strategy.initialize_state(scene_scale=scene.extent) if kind == "default" else strategy.initialize_state()
    )
    views, order = TrainingViews(scene, device, keep_alpha=False), ViewOrder(list(scene.train), generator)
    background = torch.tensor(scene.background or (0.0, 0.0, 0.0))
    started, cpu = time.perf_counter(), time.process_time()
    for step in range(config.iterations):
        target = views.target(order.next(), 1)
        camera = target.camera
        image, _, info = rasterization(
            params["means"],
            params["quats"],
            params["scales"].exp(),
            params["opacities"].sigmoid(),
            torch.cat([params["sh0"], params["shN"]], dim=1),
            camera.viewmats,
            camera.Ks,
            camera.width,
            camera.height,
            packed=False,
            sh_degree=min(config.sh_degree, step // scaled(config.optim.sh_every, config.iterations)),
            backgrounds=background[None],
        )
        strategy.step_pre_backward(params, optimizers, state, step, info)
        loss = photometric_loss(image, target.over(background), target.mask, config.optim.ssim_weight)
        if kind == "mcmc":
            loss = loss + OPACITY_WEIGHT * params["opacities"].sigmoid().mean()
            loss = loss + SCALE_WEIGHT * params["scales"].exp().mean()
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        rate = decay.get_last_lr()[0]
        decay.step()
        after = {"lr": rate} if kind == "mcmc" else {"packed": False}
        strategy.step_post_backward(params, optimizers, state, step, info, **after)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return _gaussians(params), seconds, cpu


def _strategy(config: TrainConfig, kind: str) -> Any:
    rule, steps = config.density, config.iterations
    if kind == "mcmc":
        # Its growth is 5 % a refinement, so these are as many as in 30,000 steps.
        return MCMCStrategy(
            cap_max=config.max_gaussians,
            refine_start_iter=scaled(500, steps),
            refine_stop_iter=scaled(25_000, steps),
            refine_every=scaled(100, steps),
        )
    strategy = CappedDefault(
        refine_start_iter=scaled(500, steps),
        refine_stop_iter=scaled(15_000, steps),
        reset_every=scaled(3_000, steps, rule.least_reset_every),
        refine_every=scaled(100, steps, rule.least_every),
    )
    strategy.max_gaussians = config.max_gaussians
    return strategy


def _parameters(start: Gaussians, opacity: float, shrink: float) -> torch.nn.ParameterDict:
    logit = math.log(opacity / (1 - opacity))
    return torch.nn.ParameterDict(
        {
            "means": start.means,
            "scales": start.log_scales + math.log(shrink),
            "quats": start.quats,
            "opacities": torch.full_like(start.opacity_logits, logit),
            "sh0": start.sh[:, :1].clone(),
            "shN": start.sh[:, 1:].clone(),
        }
    )


def _gaussians(params: torch.nn.ParameterDict) -> Gaussians:
    held = {name: value.detach() for name, value in params.items()}
    sh = torch.cat([held["sh0"], held["shN"]], dim=1)
    return Gaussians(held["means"], held["quats"], held["scales"], held["opacities"], sh)


def _relocation(opacities: Tensor, scales: Tensor, ratios: Tensor, binoms: Tensor) -> tuple[Tensor, Tensor]:
    """gsplat.relocation.compute_relocation, which runs on a GPU alone."""
    opacities, shrink = share(opacities, ratios)
    return opacities, scales * shrink[:, None]


def _covariances(quats: Tensor, scales: Tensor, **_: Any) -> tuple[Tensor, None]:
    """gsplat.quat_scale_to_covar_preci's covariances [N, 3, 3], which runs on a GPU alone."""
    from gsplat.utils import normalized_quat_to_rotmat

    axes = normalized_quat_to_rotmat(torch.nn.functional.normalize(quats, dim=-1)) * scales[:, None, :]
    return axes @ axes.transpose(1, 2), None
