"""Headless Chromium on a viewer's page: what browser tests have in common."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from conftest import unavailable

from splat.viewer.server import Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: WebGL in software, said explicitly so that no new default of Chromium's decides.
FLAGS = """--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --disable-dev-shm-usage
--disable-background-networking --disable-component-update --disable-sync --no-first-run""".split()
WIDTH, HEIGHT = 900, 500
#: A busy machine without a GPU needs long for a page.
PATIENCE = 90.0


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser, for the thread that asks for it; the test is skipped where there is none."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None or find_spec("playwright") is None:
        unavailable("browser", "there is no Chromium or no playwright: apt install chromium, pip install playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page_of(browser: Browser, link: str, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Page]:
    """A page of its own, with cookies of its own, that shows a picture; no script of it may fail."""
    context = browser.new_context(viewport={"width": width, "height": height})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(link)
    page.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
    yield page
    context.close()
    assert not errors


def until(what: Callable[[], bool], page: Page) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        page.wait_for_timeout(100)


def picture(page: Page) -> np.ndarray:
    """[H, W, 3] what is on the page's canvas, without the panel and the notice about software rendering."""
    from PIL import Image

    shot = Image.open(BytesIO(page.screenshot(timeout=1000 * PATIENCE))).convert("RGB")
    return np.asarray(shot)[180:, : WIDTH - 340].astype(float)


def settled(viewer: Viewer, page: Page, client: int = -1) -> np.ndarray:
    """The canvas of a scene that doesn't train, once the best frame of what is chosen is on it."""
    session = list(viewer.sessions.values())[client]

    def is_best() -> bool:
        frame, chosen = session.frame, session.chosen
        has_fine = chosen.fine and chosen.compare == "off" and chosen.mode == "colour"
        best = "fine" if has_fine else "full"
        return frame is not None and frame.job.request == chosen and frame.job.quality == best

    until(is_best, page)
    # The page fades in, and decodes a frame some time after it came.
    pictures = [picture(page)]

    def at_rest() -> bool:
        page.wait_for_timeout(500)
        pictures.append(picture(page))
        return bool(np.abs(pictures[-1] - pictures[-2]).max() < 2)

    until(at_rest, page)
    return pictures[-1]


def frame_on_canvas(viewer: Viewer, page: Page) -> np.ndarray:
    """[H, W, 3] the renderer's own frame where `picture` would see it."""
    session = next(iter(viewer.sessions.values()))
    assert session.frame is not None and session.frame.image is not None
    from PIL import Image

    canvas = page.locator("canvas").last.bounding_box()
    assert canvas is not None
    size = round(canvas["width"]), round(canvas["height"])
    frame = np.asarray(Image.fromarray(session.frame.image.numpy()).resize(size, Image.Resampling.BILINEAR))
    return frame[180:, : WIDTH - 340].astype(float)


def open_tab(page: Page, name: str) -> None:
    """Brings a group of controls to the front."""
    page.get_by_role("tab", name=name).click(timeout=1000 * PATIENCE)
