"""Where the ops' tests run: on the CPU, with CUDA's kernels run by the CPU, and on a GPU.

A test takes part by the fixture `backend`, or by `on_backend` (every test in tests/ops), with which tensors made
without saying where are on the backend's device, too; random ones come from `rand` and `randn`, which draw the same
numbers everywhere. It may say `@pytest.mark.backends("cpu")`, or `@pytest.mark.slow_on_host`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("cpu", "cuda-on-host", "cuda")
OPS = (
    "project", "project_backward", "project_adam", "tiles", "blend", "blend_backward", "photometric_loss", "ssim",
    "adam", "tremor", "share",
)  # fmt: skip
#: The library of CUDA's kernels for the CPU; SPLAT_ON_HOST names another, with a fault that a test has to find.
ON_HOST = Path(os.environ.get("SPLAT_ON_HOST", ROOT / "build/native/libsplat_cuda_on_host.so"))


def rand(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device="cpu").to(torch.get_default_device())


def randn(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device="cpu").to(torch.get_default_device())


@contextmanager
def uninitialised_memory_is_nan() -> Iterator[None]:
    """What an op forgets to write is then no number, rather than what happened to be there."""
    # What torch.use_deterministic_algorithms does but for importing the compiler, which takes a second.
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_deterministic_debug_mode("default")


@contextmanager
def cuda_on_host() -> Iterator[None]:
    """CUDA's kernels, run by the CPU, in place of its own."""
    import splat.ops.adam  # noqa: F401  # the ops are declared by the CPU's library

    torch.ops.load_library(ON_HOST)
    library = torch.library.Library("splat", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Warning only once for all operators")  # to override is the purpose
        for name in OPS:
            library.impl(name, in_both_orders(getattr(torch.ops.splat_on_host, name).default), "CPU")
    yield
    library._destroy()


def in_both_orders(op: Callable) -> Callable:
    """The op run with threads and blocks in ascending and in descending order, which must give the same bits."""

    def run(*arguments: Any) -> Any:
        copies = tree_map_only(Tensor, torch.clone, arguments)
        torch.ops.splat_on_host.run_in_descending_order(False)
        ascending = bits((op(*copies), copies))
        torch.ops.splat_on_host.run_in_descending_order(True)
        results = op(*arguments)
        for place, (a, b) in enumerate(zip(ascending, bits((results, arguments)), strict=True)):
            assert torch.equal(a, b), f"{op}: tensor {place} depends on the order of threads: a barrier is missing"
        return results

    return run


def bits(tensors: Any) -> list[Tensor]:
    """The bytes of results and of what is written in place: as numbers, NaN would differ from itself."""
    return [x.contiguous().view(-1).view(torch.uint8) for x in tree_flatten(tensors)[0] if isinstance(x, Tensor)]
