"""The page in a real browser, headless Chromium: what a person would see and press."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import PATIENCE, frame_on_canvas, launched, open_tab, page_of, picture, settled, until
from made_up import HEIGHT as MADE_UP_HEIGHT
from made_up import WIDTH as MADE_UP_WIDTH

from splat.train.config import TrainConfig
from splat.train.listeners import Listener
from splat.train.run import train
from splat.viewer.compare import picture_size
from splat.viewer.server import LiveViewer, Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def test_the_page_shows_what_the_renderer_drew(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        seen = settled(viewer[0], page)
        assert seen.std() > 15
        assert np.abs(seen - frame_on_canvas(viewer[0], page)).mean() < 4
        open_tab(page, "Photos")
        # It starts where the first training photo was taken, and says how close the two are.
        page.get_by_text("Photo 2 of 10").wait_for(timeout=1000 * PATIENCE)
        page.get_by_text("PSNR").wait_for(timeout=1000 * PATIENCE)
        (session,) = viewer[0].sessions.values()
        assert session.psnr is not None and session.psnr > 40


def test_going_to_a_photo_and_comparing_change_the_picture(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        first = settled(viewer[0], page)
        open_tab(page, "Photos")
        page.get_by_text("▶").click()
        page.get_by_text("Photo 3 of 10").wait_for(timeout=1000 * PATIENCE)
        (session,) = viewer[0].sessions.values()
        until(lambda: session.view == 2 and session.at_photo, page)
        second = settled(viewer[0], page)
        assert np.abs(first - second).mean() > 3
        page.keyboard.press("c")
        until(lambda: session.chosen.compare == "side by side", page)
        beside = settled(viewer[0], page)
        assert np.abs(beside - second).mean() > 3
        frame = session.frame
        assert frame is not None and frame.image is not None
        # The render above the photo of the same view: nearly the same picture twice.
        height, width = frame.image.shape[:2]
        w, h = picture_size("side by side", width, height, MADE_UP_WIDTH / MADE_UP_HEIGHT)
        middle, left = height // 2, (width - w) // 2
        assert 2 * h <= height
        render, photo = (frame.image[top : top + h, left : left + w].float() for top in (middle - h, middle))
        assert float(render.std()) > 15 and float((render - photo).abs().mean()) < 3
        page.keyboard.press("Shift+ArrowLeft")
        until(lambda: session.view == 1, page)


def test_moving_is_a_preview_and_resting_is_full(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        first = settled(viewer[0], page)
        (session,) = viewer[0].sessions.values()
        kinds: set[str] = set()
        page.mouse.move(250, 300)
        page.mouse.down()
        for step in range(30):
            page.mouse.move(250 + 6 * step, 300 + step)
            if session.frame is not None:
                kinds.add(session.frame.job.quality)
        page.mouse.up()
        assert "preview" in kinds
        assert np.abs(settled(viewer[0], page) - first).mean() > 3
        assert not session.at_photo
        open_tab(page, "Photos")
        page.get_by_text("has left its place").wait_for(timeout=1000 * PATIENCE)
        page.get_by_role("button", name="this photo").click()
        until(lambda: session.at_photo, page)


def test_two_browsers_look_at_different_things(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as one, page_of(chromium, viewer[1], 390, 844) as phone:
        until(lambda: len(viewer[0].sessions) == 2, one)
        first, second = viewer[0].sessions.values()
        one.keyboard.press("Shift+ArrowRight")
        until(lambda: first.view == 2, one)
        settled(viewer[0], one, 0)
        assert second.view == 1 and second.at_photo
        assert second.frame is not None and second.frame.job.width < second.frame.job.height
        # On a phone the controls start folded, so that the scene is seen.
        phone.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
        assert not phone.get_by_text("Background").is_visible()
    until_left = time.monotonic() + PATIENCE
    while viewer[0].sessions:
        assert time.monotonic() < until_left
        time.sleep(0.1)


class Watcher(Listener):
    """Opens the page when training starts, on a thread of its own, and keeps the run going until it has looked."""

    def __init__(self, look: Callable[[], None]) -> None:
        self.problem: BaseException | None = None
        self._look = look
        self._thread = threading.Thread(target=self._watch)

    def on_start(self, trainer) -> None:
        self.trainer = trainer
        self._thread.start()

    def on_end(self, trainer, reason: str) -> None:
        self._thread.join()

    def _watch(self) -> None:
        try:
            self._look()
        except BaseException as problem:
            self.problem = problem
        self.trainer.request_stop()


def test_a_run_is_seen_while_it_trains(capture: Path, tmp_path: Path) -> None:
    """Steps go on while the page shows them; the pause button pauses; the end is announced."""
    said: list[str] = []
    live = LiveViewer(port=0, announce=said.append)
    steps: list[int] = []

    def look() -> None:
        # Playwright stays on the thread that started it.
        with launched() as browser, page_of(browser, live.door.link) as page:
            page.get_by_text("steps a second").wait_for(timeout=1000 * PATIENCE)
            for _ in range(2):
                before = watcher.trainer.step
                until(lambda before=before: watcher.trainer.step > before + 3, page)
                assert picture(page).std() > 5
            page.keyboard.press("p")
            until(lambda: watcher.trainer.paused, page)
            page.get_by_text("Paused.").wait_for(timeout=1000 * PATIENCE)
            steps.append(watcher.trainer.step)
            page.wait_for_timeout(1000)
            steps.append(watcher.trainer.step)
            page.get_by_role("button", name="Resume").click()
            until(lambda: watcher.trainer.step > steps[1], page)

    watcher = Watcher(look)
    config = TrainConfig(iterations=100_000, max_gaussians=200)
    try:
        train(capture, tmp_path / "run", config, listeners=[live, watcher])
    finally:
        live.close()
    if watcher.problem is not None:
        raise watcher.problem
    assert said == [f"Viewer: {live.door.link}"]
    assert steps[0] <= steps[1] <= steps[0] + 1
