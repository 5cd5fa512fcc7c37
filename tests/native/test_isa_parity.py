"""One formula, three instruction sets: they differ in rounding alone, and whichever is asked for is what runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from splat import native

TESTS = Path(__file__).resolve().parents[1]
# A pixel is the sum of some hundred terms, and fma rounds once where baseline x86 rounds twice.
TOLERANCE = 1e-4

RENDER = """
import sys
import torch
from worlds import random_world
from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.ops.project_adam import RATES
from splat.render import render
from splat.train.frame import Frame
from splat.train.optimizer import Adam

world = random_world(300, seed=3)
leaves = world.leaves()
scene, cameras = Gaussians(*leaves[:5]), Cameras(leaves[5], world.Ks, world.width, world.height)
rendering = render(scene, cameras, antialias="antialiased", depth=True, background=torch.tensor([0.2, 0.5, 0.9]))
rendering.means2d.retain_grad()
loss = rendering.rgb.square().mean() + rendering.accumulated_depth.mean()
loss.backward()
images = [rendering.rgb, rendering.alpha, rendering.accumulated_depth]
frame = Frame(scene.detach(), cameras, sh_degree=2, antialias="classic")
frame.render().rgb.square().mean().backward()
optimizer = Adam(scene.detach().parameters())
optimizer.step(5, dict.fromkeys(RATES, 0.1), frame)
moments = optimizer.state[0].values()
tensors = [*[x.detach() for x in images], *[leaf.grad for leaf in leaves], *moments]
torch.save([torch.ops.splat.cpu_isa(), *tensors], sys.argv[1])
"""


def run(isa: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SPLAT_CPU_ISA": isa, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def rendered(isa: str, folder: Path) -> list[Tensor]:
    file = folder / f"{isa}.pt"
    finished = run(isa, RENDER, str(file))
    if "cannot run" in finished.stderr:
        pytest.skip(finished.stderr.splitlines()[-1])
    assert finished.returncode == 0, finished.stderr
    ran, *tensors = torch.load(file)
    assert ran == isa
    return tensors


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> list[Tensor]:
    return rendered("baseline", tmp_path_factory.mktemp("baseline"))


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_levels_agree(isa: str, baseline: list[Tensor], tmp_path: Path) -> None:
    for ours, expected in zip(rendered(isa, tmp_path), baseline, strict=True):
        assert (ours - expected).norm() <= TOLERANCE * expected.norm()


@pytest.mark.slow
def test_an_unknown_level_is_an_error() -> None:
    finished = run("avx9", "from splat import native; print(native.describe().problem)")
    assert finished.stdout == "SPLAT_CPU_ISA=avx9 is unknown; use baseline, avx2 or avx512\n"


def test_what_runs_is_said() -> None:
    found = native.describe()
    assert found.isa in ("baseline", "avx2", "avx512") and not found.problem
    assert found.threads == torch.get_num_threads()
