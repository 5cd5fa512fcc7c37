"""The pull towards transparent and small: its gradients, and what a run with it ends with."""

from __future__ import annotations

import dataclasses

import torch
from made_up import made_up_scene

from splat.datasets.scene import Scene
from splat.gaussians import Gaussians
from splat.train.config import InitConfig, OptimConfig, TrainConfig
from splat.train.regularise import pull
from splat.train.trainer import Trainer


def test_its_gradients_are_those_of_the_means() -> None:
    parameters = {name: values.clone().requires_grad_() for name, values in made_up_scene().parameters().items()}
    gaussians = Gaussians.of(parameters)
    (0.3 * gaussians.opacities.mean() + 0.2 * gaussians.scales.mean()).backward()
    found = pull(made_up_scene(), 0.3, 0.2)
    assert list(found) == ["opacity_logits", "log_scales"]
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, parameters[name].grad)
    assert not pull(made_up_scene(), 0.0, 0.0)


def test_runs_with_it_end_fainter_and_smaller(scene: Scene) -> None:
    config = TrainConfig(iterations=25, max_gaussians=200, init=InitConfig(few_points=10))
    means = []
    for optim in (OptimConfig(), OptimConfig(opacity_weight=1.0), OptimConfig(scale_weight=1.0)):
        trainer = Trainer(scene, dataclasses.replace(config, optim=optim))
        trainer.run()
        gaussians = trainer.gaussians()
        means.append((float(gaussians.opacities.mean()), float(gaussians.scales.mean())))
    assert means[1][0] < 0.8 * means[0][0]
    assert means[2][1] < 0.95 * means[0][1]
