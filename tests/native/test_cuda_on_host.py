"""What runs CUDA kernels on the CPU: CUDA's semantics, and that it catches the mistakes it is there for."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import backends
import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = "-std=c++20 -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Werror -DSPLAT_CUDA_ON_HOST".split()
FOLDERS = [f"-I{ROOT / 'cuda'}", f"-I{ROOT / 'cuda/include'}"]
#: Parity checks that find planted faults.
TILES = "tests/ops/test_tiles.py::test_no_tile_is_missing_and_none_is_superfluous[cuda-on-host-arguments0]"
BLEND = "tests/ops/test_blend.py::test_image_and_gradients_agree_with_the_reference[cuda-on-host-arguments1]"
THREADS = 128
LANE = torch.arange(THREADS) % 32

#: Slow for the compiler; the fast tests of the ops run on what is tested here.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="built on Linux only")]

#: Runs a kernel of kernels.cu on `blocks` blocks; returns its results, one row per THREADS numbers.
Run = Callable[..., Tensor]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("kernels") / "kernels.so"
    sources = ["-x", "c++", ROOT / "tests/native/kernels.cu", ROOT / "cuda/host/fibres.cpp"]
    subprocess.run(["c++", *OPTIONS, "-shared", *FOLDERS, *sources, "-o", path], check=True)
    library = ctypes.CDLL(str(path))
    library.run.restype = ctypes.c_char_p

    def run(
        kernel: str, descending: bool = False, blocks: int = 1, blocks_y: int = 1, threads: int = THREADS
    ) -> Tensor:
        values, results = torch.arange(1.0, 1 + blocks * THREADS), torch.zeros(8, THREADS)
        pointers = (ctypes.c_void_p(values.data_ptr()), ctypes.c_void_p(results.data_ptr()))
        problem = library.run(kernel.encode(), descending, blocks, blocks_y, threads, *pointers).decode()
        if problem:
            raise RuntimeError(problem)
        return results

    return run


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


# A missing barrier


@pytest.mark.parametrize("kernel", ["block_sum", "broadcast", "rotate_twice"])
def test_a_missing_barrier_makes_results_depend_on_the_order(run: Run, kernel: str) -> None:
    right = run(kernel, blocks=3)
    assert right.isfinite().all() and same(right, run(kernel, descending=True, blocks=3))
    wrong = [run(f"{kernel} without its barrier", descending, blocks=3) for descending in (False, True)]
    assert not same(*wrong)


def test_the_kernels_with_their_barriers_are_right(run: Run) -> None:
    values = torch.arange(1.0, 1 + 3 * THREADS).reshape(3, THREADS)
    assert torch.equal(run("block_sum", blocks=3)[0, :3], values.sum(1))
    assert torch.equal(run("broadcast", blocks=3)[:3], values[:, :1].expand(3, THREADS))
    assert torch.equal(run("rotate_twice", blocks=3)[:3], values.roll(-2, dims=1))


@pytest.mark.parametrize("descending", [False, True])
def test_one_order_alone_may_hide_it(run: Run, descending: bool) -> None:
    hidden_by = {"broadcast": False, "block_sum": True}
    for kernel, order in hidden_by.items():
        found = run(f"{kernel} without its barrier", descending)
        assert same(found, run(kernel)) == (descending == order)
        assert found.isnan().any() == (descending != order)


# CUDA's semantics


def test_shared_memory_starts_as_nan(run: Run) -> None:
    run("block_sum")
    for descending in (False, True):
        assert run("shared_memory_as_found", descending, blocks=3)[:3].isnan().all()


def test_shuffles(run: Run) -> None:
    first = torch.arange(THREADS) - LANE
    sources = [
        torch.full_like(LANE, 3),
        (LANE + 1) % 32,
        torch.where(LANE < 2, LANE, LANE - 2),
        torch.where(LANE + 5 > 31, LANE, LANE + 5),
        LANE ^ 16,
        LANE ^ 1,
    ]
    for descending in (False, True):
        for found, source in zip(run("shuffles", descending), sources, strict=False):
            assert torch.equal(found, (first + source + 1).float())


def test_votes(run: Run) -> None:
    expected = torch.tensor([0x5555, 1, 0, 0, 1, 40, 1, 0.0])
    for descending in (False, True):
        assert torch.equal(run("votes", descending), expected[:, None].expand(8, THREADS))


def test_lanes_that_have_ended_neither_vote_nor_are_waited_for(run: Run) -> None:
    for descending in (False, True):
        ballots, shuffled, counts = run("some_have_ended", descending)[:3, LANE < 20]
        assert (ballots == 0xFFFFF).all() and (counts == 4 * 20).all()
        from_ended = LANE[LANE < 20] >= 10
        assert shuffled[from_ended].isnan().all()
        assert torch.equal(shuffled[~from_ended], torch.arange(11.0, 11 + THREADS)[LANE < 10])


def test_an_empty_grid_runs_nothing(run: Run) -> None:
    assert not run("block_sum", blocks=0).any()


# What is reported


@pytest.mark.parametrize(
    "kernel, message",
    [
        ("waits_for_ever", "wait for others that never come"),
        ("different_warp_calls", "called different warp-wide functions"),
        ("part_of_a_warp", "called for a part of the warp"),
        ("too_much_shared_memory", "more than 48 KiB of shared memory"),
        ("too_deep", "more than 64 KiB of stack"),
        ("throws", "^thrown by a kernel$"),
    ],
)
@pytest.mark.parametrize("descending", [False, True])
def test_misuse_is_reported_and_the_next_kernel_runs(run: Run, kernel: str, message: str, descending: bool) -> None:
    with pytest.raises(RuntimeError, match=message):
        run(kernel, descending)
    assert torch.equal(run("block_sum", descending), run("block_sum"))


@pytest.mark.parametrize(
    "size, message",
    [
        ({"threads": 100}, "whole number of warps"),
        ({"threads": 1056}, "1024 threads at most"),
        ({"blocks_y": 65536}, "larger than a GPU takes"),
    ],
)
def test_sizes_that_no_gpu_takes_are_reported(run: Run, size: dict[str, int], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        run("nothing", **size)


# Faults planted in Splat's own kernels: what passes with the real library has to fail.


@pytest.mark.parametrize(
    "source, right, wrong, check, said",
    [
        ("blend_forward", "__syncthreads();", "", BLEND, "depends on the order of threads"),
        ("tiles", "if (sorted[middle] < tile)", "if (sorted[middle] <= tile)", TILES, "shape mismatch"),
        ("blend_backward", "rest -= share;", "rest += share;", BLEND, "conics|means2d|opacities"),
    ],
    ids=["missing barrier", "off by one in a tile's range", "wrong gradient"],
)
def test_a_planted_fault_fails_the_parity_check(
    source: str, right: str, wrong: str, check: str, said: str, tmp_path: Path
) -> None:
    code = (ROOT / f"cuda/gpu/{source}.cu").read_text()
    assert code.count(right) == 1, "the kernel has changed: plant the fault anew"
    (tmp_path / f"{source}.cu").write_text(code.replace(right, wrong))
    objects = {path.name: path for path in (ROOT / "build/native").glob("*.on_host.o")}
    objects[f"{source}.on_host.o"] = tmp_path / "faulty.o"
    options = [*OPTIONS, "-DSPLAT_ISA=cuda_on_host", "-ffp-contract=off", "-fno-math-errno"]
    compiled = ["-c", "-x", "c++", tmp_path / f"{source}.cu", "-o", tmp_path / "faulty.o"]
    subprocess.run(["c++", *options, *FOLDERS, *compiled], check=True)
    torch_libraries = Path(torch.__file__).parent / "lib"
    library = tmp_path / "faulty.so"
    linked = ["-shared", *objects.values(), f"-L{torch_libraries}", "-ltorch_cpu", "-o", library]
    subprocess.run(["c++", *linked], check=True)

    def parity(library: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", check]
        environment = {**os.environ, "SPLAT_ON_HOST": str(library)}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert parity(backends.ON_HOST).returncode == 0
    failed = parity(library)
    assert failed.returncode == 1 and re.search(rf"^E .*({said})", failed.stdout, re.MULTILINE), failed.stdout
