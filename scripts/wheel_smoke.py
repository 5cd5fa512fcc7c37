"""Tries out an installed wheel: run by the Python that it is installed for, from a folder that is not the project's.

    cd /tmp && python .../scripts/wheel_smoke.py [--cuda]

`--cuda` expects the library for GPUs to be in the wheel; whether it runs takes a GPU to tell.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import torch

import splat
from splat import datasets, native, viewer
from splat.cameras import intrinsics, look_at
from splat.gaussians import Gaussians
from splat.ops.photometric import photometric_loss
from splat.ops.project_adam import RATES
from splat.train.frame import Frame
from splat.train.optimizer import Adam
from splat.train.representation import Plain


def main() -> None:
    project = Path(__file__).resolve().parents[1]
    for package in (splat, datasets, viewer):
        assert package.__file__ and not Path(package.__file__).resolve().is_relative_to(project / "splat"), package
    found = native.describe()
    assert not found.problem, found.problem
    assert "--cuda" not in sys.argv or found.cuda.path.is_file(), f"{found.cuda.path} is missing"
    gaussians = Gaussians(
        means=torch.zeros(1, 3),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        log_scales=torch.full((1, 3), -2.0),
        opacity_logits=torch.full((1,), 3.0),
        sh=torch.ones(1, 1, 3),
    )
    position, target, up = torch.tensor([[0.0, 0, -3], [0, 0, 0], [0, -1, 0]])
    camera = splat.Cameras(look_at(position, target, up)[None], intrinsics(64, 48, 0.8)[None], 64, 48)
    representation = Plain(gaussians)
    optimizer = Adam(representation.parameters)
    losses = []
    for step in range(1, 51):
        frame = Frame(representation.gaussians(), camera, sh_degree=None, antialias="classic")
        image = frame.render().rgb
        loss = photometric_loss(image, torch.zeros_like(image))
        loss.backward()
        optimizer.step(step, dict.fromkeys(RATES, 0.05), frame)
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
    print(f"splatworks {version('splatworks')}, torch {torch.__version__}, kernels {found.isa}: draws and learns")
    print(f"GPU: {found.cuda.problem or found.cuda.gpu}")


if __name__ == "__main__":
    main()
