"""The compiled libraries: finding them, loading them, saying what they are, and checking what they return.

There is one for the CPU and, where nvcc was found when Splat was built, one for NVIDIA GPUs. Their kernels register
themselves as `torch.ops.splat.*` when they are loaded; each module of `splat.ops` calls `load()` before it adds shapes
and gradients to its ops. Set SPLAT_CPU_ISA to baseline, avx2 or avx512 to force an instruction set, and
SPLAT_VALIDATE=1 to have every result of every op searched for NaN and infinity.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from splat.errors import SplatError

NAMES = {"win32": "splat_cpu.dll", "darwin": "libsplat_cpu.dylib"}
PATH = Path(__file__).resolve().parent / "_native" / NAMES.get(sys.platform, "libsplat_cpu.so")
CUDA_PATH = PATH.with_name("libsplat_cuda.so")
BUILD = "`make native` in a clone, or `pip install --no-build-isolation .` beside an installed torch"
#: The oldest GPUs that the kernels are compiled for (Turing).
LEAST_CAPABILITY = (7, 5)
VALIDATE = os.environ.get("SPLAT_VALIDATE") == "1"


@dataclass(frozen=True)
class Cuda:
    """What `describe` found of the library for GPUs.

    Attributes:
        path: where the library is, or should be.
        gpu: the GPU's name; empty if torch can't use one.
        problem: half a sentence saying why Splat can't run there; empty if it can.
        cure: what to do about it, a sentence.
    """

    path: Path
    gpu: str
    problem: str
    cure: str


@dataclass(frozen=True)
class Native:
    """What `describe` found.

    Attributes:
        path: where the CPU's library is, or should be.
        isa: the instruction set that runs ("baseline", "avx2", "avx512"); empty if the library can't be used.
        threads: size of torch's thread pool, which the kernels share.
        problem: one sentence saying why the library can't be used and what to do; empty if it can.
        cuda: the library for GPUs.
    """

    path: Path
    isa: str
    threads: int
    problem: str
    cuda: Cuda


@cache
def load() -> None:
    """Loads the CPU's library, and the one for GPUs where torch can use a GPU; once.

    Raises:
        ImportError: the CPU's was never built, or this torch can't load it; says how to build it.
    """
    if not PATH.exists():
        raise ImportError(f"Splat's native library is not built ({PATH} is missing): {BUILD}.")
    try:
        torch.ops.load_library(PATH)
    except OSError as error:
        raise ImportError(f"Splat's native library does not load: {error}. Build it anew: {BUILD}.") from error
    _cuda_load_error()


def describe() -> Native:
    """The libraries as they are on this machine; never raises."""
    isa = problem = ""
    try:
        load()
        isa = torch.ops.splat.cpu_isa()
    except (ImportError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
    return Native(path=PATH, isa=isa, threads=torch.get_num_threads(), problem=problem, cuda=_describe_cuda())


def pick_device(name: str) -> torch.device:
    """The device that "auto", "cpu" or "cuda" means; "auto" is the GPU where Splat can run on it.

    Raises:
        SplatError: cuda was asked for, and Splat can't run there.
    """
    if name == "cpu":
        return torch.device("cpu")
    cuda = describe().cuda
    if name == "cuda" and cuda.problem:
        raise SplatError(f"--device cuda: {cuda.problem}. {cuda.cure}")
    return torch.device("cpu" if cuda.problem else "cuda")


def check_device(name: str, tensor: Tensor) -> None:
    """Checks that kernels run where a tensor is.

    Raises:
        ValueError: names the tensor, and says why not and what to do.
    """
    if tensor.device.type not in ("cpu", "meta") and (problem := _problem_of(tensor.device.type)):
        raise ValueError(f"{name} is on {tensor.device}, where Splat can't run: {problem}")


@cache
def _problem_of(device_type: str) -> str:
    if device_type != "cuda":
        return "its kernels are for the CPU and for NVIDIA GPUs."
    cuda = describe().cuda
    return f"{cuda.problem}. {cuda.cure}" if cuda.problem else ""


def _gpu_is_there() -> bool:
    """Whether torch can use an NVIDIA GPU. A torch for AMD's GPUs says cuda, too."""
    if torch.version.cuda is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the driver is too old is told by torch.cuda.init, too
        return torch.cuda.is_available()


@cache
def _cuda_load_error() -> str:
    """Loads the library for GPUs, if there is one and a GPU; returns what the linker says, "" if nothing."""
    if not CUDA_PATH.exists() or not _gpu_is_there():
        return ""
    try:
        torch.ops.load_library(CUDA_PATH)
    except OSError as error:
        return str(error).splitlines()[0]
    return ""


def _describe_cuda() -> Cuda:
    try:
        return _look_for_cuda()
    except RuntimeError as error:  # a GPU that another process holds, or that has failed
        return Cuda(CUDA_PATH, "", f"torch.cuda fails: {str(error).splitlines()[0]}", "See what `nvidia-smi` shows.")


def _look_for_cuda() -> Cuda:
    if torch.version.cuda is None:
        found = f"this torch, {torch.__version__}, is built without CUDA"
        cure = "If this machine has an NVIDIA GPU, install a torch with CUDA: https://pytorch.org/get-started/locally"
        return Cuda(CUDA_PATH, "", found, cure)
    if not _gpu_is_there():
        cure = "See what `nvidia-smi` shows and that CUDA_VISIBLE_DEVICES, if it is set, names a GPU."
        return Cuda(CUDA_PATH, "", f"torch can't use a GPU here ({_why_no_gpu()})", cure)
    gpu, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    if capability < LEAST_CAPABILITY:
        found = f"{gpu} has compute capability {_dotted(capability)}, and the kernels need {_dotted(LEAST_CAPABILITY)}"
        return Cuda(CUDA_PATH, gpu, found, "Leave --device out to run on the CPU.")
    if sys.platform != "linux":
        return Cuda(CUDA_PATH, gpu, "the CUDA kernels are built on Linux only", "Leave --device out to run on the CPU.")
    if not CUDA_PATH.exists():
        found = f"the CUDA library is not built ({CUDA_PATH} is missing), for want of nvcc when Splat was built"
        return Cuda(CUDA_PATH, gpu, found, f"Put the CUDA toolkit's nvcc on PATH, then build: {BUILD}.")
    if error := _cuda_load_error() or _cuda_run_error():
        major = torch.version.cuda.split(".", maxsplit=1)[0]
        cure = f"Build it anew with the nvcc of CUDA {major}, which this torch is for ({BUILD}), and update the driver."
        return Cuda(CUDA_PATH, gpu, f"the CUDA library does not run on {gpu}: {error}", cure)
    return Cuda(CUDA_PATH, gpu, "", "")


def _dotted(capability: tuple[int, int]) -> str:
    return "{}.{}".format(*capability)


def _why_no_gpu() -> str:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).split(". ", maxsplit=1)[0].splitlines()[0]
    return "it counts no device"


@cache
def _cuda_run_error() -> str:
    """Runs a kernel: a driver older than the toolkit, or a GPU without code for it, shows only then."""
    try:
        param, grad, exp_avg, exp_avg_sq = (torch.zeros(1, device="cuda") for _ in range(4))
        torch.ops.splat.adam.default([param], [grad], [exp_avg], [exp_avg_sq], [0.0], [1], 1, 0.9, 0.999, 1e-15)
        torch.cuda.synchronize()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def validate(op: str, **tensors: Tensor | None) -> None:
    """With SPLAT_VALIDATE=1, searches an op's results for NaN and infinity.

    Raises:
        FloatingPointError: names the op, the tensor and the first bad index.
    """
    if not VALIDATE or torch.compiler.is_compiling():
        return
    for name, tensor in tensors.items():
        # While an op is traced, its results are of a subclass and hold no numbers.
        if type(tensor) is not Tensor or not tensor.is_floating_point():
            continue
        bad = (~tensor.isfinite()).nonzero()
        if len(bad):
            index = bad[0].tolist()
            raise FloatingPointError(f"{op}: {name}{index} is {tensor[tuple(index)].item()} ({len(bad)} such values)")
