"""gsplat's strategies as a peer: on the CPU, below the cap, with stand-ins that compute what gsplat's kernels do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("gsplat")
from gsplat.cuda._torch_impl import _quat_scale_to_covar_preci
from gsplat_peer import _covariances, train

from splat.evaluate.metrics import evaluate_views
from splat.train.config import DensityConfig, ResolutionConfig, TrainConfig
from splat.train.run import open_capture


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["default", "mcmc"])
def test_it_learns_the_scene_and_stays_below_the_cap(capture: Path, kind: str) -> None:
    config = TrainConfig(
        iterations=150,
        max_gaussians=700,
        device="cpu",
        density=DensityConfig(least_every=10, grow_gradient=1e-6),
        resolution=ResolutionConfig(coarsest=1),
    )
    scene = open_capture(capture, config)

    def psnr(steps: int) -> tuple[float, int]:
        gaussians, seconds, cpu = train(scene, TrainConfig(**{**vars(config), "iterations": steps}), kind)
        assert seconds > 0
        assert cpu > 0
        views = evaluate_views(gaussians, scene, scene.test, antialias="classic")
        return sum(view.psnr for view in views) / len(views), len(gaussians)

    (before, _), (after, count) = psnr(1), psnr(config.iterations)
    assert after > before + 1
    assert len(scene.points) < count <= config.max_gaussians


def test_covariances_are_those_of_gsplats_own_torch_code() -> None:
    generator = torch.Generator().manual_seed(0)
    quats, scales = torch.randn(50, 4, generator=generator), torch.rand(50, 3, generator=generator)
    expected, _ = _quat_scale_to_covar_preci(quats, scales, True, False, False)
    torch.testing.assert_close(_covariances(quats, scales)[0], expected)
