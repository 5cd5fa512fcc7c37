"""What ptxas says of the CUDA kernels: those that a training step runs keep everything in registers."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import unavailable

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "kernel_resources.py"
#: With pinhole cameras, SH of degree 3 and three channels.
HOT = (
    "forward<0, 3>",
    "backward<0, 3, MoveGaussians>",
    "backward<0, 3, StoreGradients>",
    "count_tiles",
    "drop_beyond_bound",
    "depth_keys",
    "emit_instances",
    "pad_instances",
    "tile_offsets",
    "gather",
    "composite<3, false>",
    "sum_instances<3, false, false>",
    "sum_instances<3, true, false>",
    "background_shares",
    "similarity",
    "make_gradient",
    "finish_loss",
    "update<4>",
    "offsets",
)


@pytest.fixture(scope="module")
def resources() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernel_resources", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_no_kernel_of_a_training_step_spills(resources: ModuleType) -> None:
    if shutil.which("nvcc") is None:
        unavailable("nvcc", "nvcc is not on PATH: the CUDA kernels are not compiled here")
    found = resources.of_build()
    assert {kernel.kernel for kernel in found} >= set(HOT)
    hot = [kernel for kernel in found if kernel.kernel in HOT]
    assert all(kernel.registers > 0 for kernel in hot)
    assert [kernel for kernel in hot if kernel.stack or kernel.spilled] == []


def test_spills_are_read_from_ptxas_words(resources: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "blend_forward.gpu.o.txt").write_text(
        "ptxas info    : Compiling entry function '_ZN5splat4cuda12_GLOBAL__N_19compositeILi3ELb0EEEvi' for 'sm_90'\n"
        "ptxas info    : Function properties for _ZN5splat4cuda12_GLOBAL__N_19compositeILi3ELb0EEEvi\n"
        "    24 bytes stack frame, 16 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info    : Used 40 registers, used 1 barriers, 14336 bytes smem, 508 bytes cmem[0]\n"
    )
    (kernel,) = resources.of_build(tmp_path)
    assert kernel == resources.Resources("blend_forward", "composite<3, false>", "sm_90", 40, 14336, 24, 28)
    assert "| blend_forward | `composite<3, false>` | 14336 | 40 (28 spilled) |" in resources.as_markdown([kernel])
