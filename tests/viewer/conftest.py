"""What the viewer's tests share: a browser, a run, and a viewer that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import launched
from made_up_run import write_run

from splat.viewer.gate import Door
from splat.viewer.server import Viewer
from splat.viewer.source import open_source

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(capture, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def viewer(run: Path) -> Iterator[tuple[Viewer, str]]:
    door = Door.open("127.0.0.1", 0)
    viewer = Viewer(open_source(run), door)
    yield viewer, door.link
    viewer.close()
