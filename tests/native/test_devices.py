"""Which device "auto" is, and what is said where Splat can't run on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from splat import native
from splat.errors import SplatError


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine with a GPU, a torch that can use it and a library for it, whose path this is; it is never loaded."""
    path = tmp_path / "libsplat_cuda.so"
    path.touch()
    monkeypatch.setattr(native, "CUDA_PATH", path)
    monkeypatch.setattr(native.sys, "platform", "linux")
    monkeypatch.setattr(native, "_cuda_load_error", lambda: "")
    monkeypatch.setattr(native, "_cuda_run_error", lambda: "")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    native.load.cache_clear()
    yield path
    native.load.cache_clear()


def problem() -> str:
    """What is said of the GPU; "auto" is then the CPU, and "cuda" an error that says it, too, and what to do."""
    found = native.describe().cuda
    assert native.pick_device("auto") == native.pick_device("cpu") == torch.device("cpu")
    with pytest.raises(SplatError) as raised:
        native.pick_device("cuda")
    assert str(raised.value) == f"--device cuda: {found.problem}. {found.cure}" and found.cure.endswith(
        (".", "locally")
    )
    return found.problem


def test_a_gpu_is_taken_where_all_is_well(gpu: Path) -> None:
    assert native.describe().cuda == native.Cuda(gpu, "NVIDIA H100", "", "")
    assert native.pick_device("auto") == native.pick_device("cuda") == torch.device("cuda")
    assert native.pick_device("cpu") == torch.device("cpu")


def test_a_torch_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    # One for AMD's GPUs says that cuda is available, but not which.
    monkeypatch.setattr(torch.version, "cuda", None)
    assert problem() == f"this torch, {torch.__version__}, is built without CUDA"


def test_no_gpu_and_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and more.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    assert problem() == "torch can't use a GPU here (Found no NVIDIA driver on your system)"


def test_a_gpu_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert problem() == "NVIDIA H100 has compute capability 6.1, and the kernels need 7.5"


def test_a_gpu_that_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> str:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nCUDA kernel errors might ...")

    monkeypatch.setattr(torch.cuda, "get_device_name", busy)
    assert problem() == "torch.cuda fails: CUDA error: all CUDA-capable devices are busy or unavailable"


def test_a_library_that_was_never_built(gpu: Path) -> None:
    gpu.unlink()
    assert problem() == f"the CUDA library is not built ({gpu} is missing), for want of nvcc when Splat was built"
    assert "make native" in native.describe().cuda.cure


def test_a_platform_without_a_cuda_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.sys, "platform", "win32")
    assert problem() == "the CUDA kernels are built on Linux only"


def test_a_library_that_does_not_load_or_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for step, error in (
        ("_cuda_run_error", "CUDA driver version is insufficient for CUDA runtime version"),
        ("_cuda_load_error", "undefined symbol: aoti_torch_get_current_cuda_stream"),
    ):
        monkeypatch.setattr(native, step, lambda error=error: error)
        assert problem() == f"the CUDA library does not run on NVIDIA H100: {error}"
        assert "nvcc of CUDA 13, which this torch is for" in native.describe().cuda.cure


def test_without_a_gpu_the_library_is_never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    loaded: list[Path] = []
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    native.load.cache_clear()
    native._cuda_load_error.cache_clear()
    native.describe()
    native._cuda_load_error.cache_clear()
    assert loaded == [native.PATH]


def test_a_tensor_where_no_kernels_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(native, "_problem_of", native._problem_of.__wrapped__)
    for device, why in (
        ("cuda:0", "this torch, .* is built without CUDA. If this"),
        ("mps", "for the CPU and for NVID"),
    ):
        tensor = Somewhere(torch.device(device))
        with pytest.raises(ValueError, match=f"means is on {device}, where Splat can't run: .*{why}"):
            native.check_device("means", tensor)  # pyright: ignore[reportArgumentType]
    native.check_device("means", torch.zeros(1))


class Somewhere:
    """In place of a tensor on a device that this machine lacks."""

    def __init__(self, device: torch.device) -> None:
        self.device = device


def test_tensors_on_several_devices_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from splat.ops.adam import adam
    from splat.ops.photometric import photometric_loss

    monkeypatch.undo()
    here, there = torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 4, 3, device="meta")
    mask = torch.zeros(1, 4, 4, dtype=torch.bool, device="meta")
    with pytest.raises(ValueError, match="target must be on cpu like rendered, got meta"):
        photometric_loss(here, there.to(torch.uint8))
    with pytest.raises(ValueError, match="mask must be on cpu like rendered, got meta"):
        photometric_loss(here, here, mask)
    for tensors in ((here, there, here, here), (here, here, there, here), (here, here, here, there)):
        with pytest.raises(ValueError, match=r"\[0\] must be on cpu like params\[0\], got meta"):
            adam(*([x] for x in tensors), rates=[0.1], step=1)
