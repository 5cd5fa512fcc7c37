"""What all tests share. `make test` runs everything; `pytest` alone leaves the slow ones out."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

# Before anything imports splat.native: tests search every result of every op for NaN and infinity.
os.environ.setdefault("SPLAT_VALIDATE", "1")

# A shell starts background jobs with Ctrl-C ignored, and so would every command be that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first call of an op loads the library, which no per-example deadline allows for.
settings.register_profile("splat", deadline=None, print_blob=True)
settings.load_profile("splat")

ROOT = Path(__file__).resolve().parents[1]


def unavailable(tool: str, why: str) -> None:
    """Skips the test, or fails it where SPLAT_REQUIRE (comma-separated, set by .ci/run) names the tool."""
    if tool in os.environ.get("SPLAT_REQUIRE", "").split(","):
        pytest.fail(f"SPLAT_REQUIRE names {tool}, but {why}")
    pytest.skip(why)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow_on_host") and "cuda-on-host" in item.name:
            item.add_marker(pytest.mark.slow)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        import backends

        named = metafunc.definition.get_closest_marker("backends")
        metafunc.parametrize("backend", named.args if named else backends.BACKENDS, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Has the test run once for each of `backends.BACKENDS`, or for those that its mark `backends` names."""
    import backends

    from splat import native

    if request.param == "cuda":
        if problem := native.describe().cuda.problem:
            unavailable("gpu", f"no CUDA kernels run here: {problem}")
        yield request.param
        return
    if request.param == "cuda-on-host" and sys.platform != "linux":
        pytest.skip("CUDA's kernels are built for the CPU on Linux only")
    if request.param == "cuda-on-host" and not backends.ON_HOST.exists():
        pytest.fail(f"{backends.ON_HOST} is missing: run `make on-host`")
    with backends.uninitialised_memory_is_nan(), contextlib.ExitStack() as stack:
        if request.param == "cuda-on-host":
            stack.enter_context(backends.cuda_on_host())
        yield request.param


@pytest.fixture
def on_backend(backend: str) -> Iterator[None]:
    """`backend`, with tensors made on its device."""
    import torch

    torch.set_default_device("cuda" if backend == "cuda" else "cpu")
    yield
    torch.set_default_device(None)


@pytest.fixture(scope="session")
def sample() -> Path:
    """The small real capture that is part of the project."""
    return ROOT / "datasets" / "sample"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of larger captures; skips the test where SPLAT_DATA does not name one."""
    folder = Path(os.environ.get("SPLAT_DATA", ""))
    if not os.environ.get("SPLAT_DATA"):
        pytest.skip("SPLAT_DATA names no folder of captures")
    if not folder.is_dir():
        pytest.fail(f"SPLAT_DATA is {folder}, which is no folder")
    return folder


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a made-up capture that trains in seconds; not to be written to."""
    from made_up import write_capture

    return write_capture(tmp_path_factory.mktemp("made_up") / "capture")


@pytest.fixture
def scene(capture: Path) -> Scene:
    """The made-up capture, with two of its ten views held out."""
    from splat.datasets.scene import open_scene

    return open_scene(capture, test_every=5)
