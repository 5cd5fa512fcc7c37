"""Cropping, selecting, undoing, saving and measuring, by hand in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import PATIENCE, open_tab, page_of, settled, until
from made_up import made_up_scene
from plyfile import PlyData

from splat.viewer.gate import Door
from splat.viewer.server import Viewer
from splat.viewer.source import FileSource, open_source

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

COUNT = len(made_up_scene())


@pytest.fixture
def edited(run: Path, tmp_path: Path) -> Iterator[tuple[Viewer, FileSource, str]]:
    """A viewer on a run of its own, since its folder is written to."""
    source, door = open_source(Path(shutil.copytree(run, tmp_path / "run"))), Door.open("127.0.0.1", 0)
    viewer = Viewer(source, door)
    yield viewer, source, door.link
    viewer.close()


def left(source: FileSource) -> int:
    return source.with_gaussians(len)


def crop_to(page: Page, shape: str) -> None:
    page.get_by_label("Crop", exact=True).first.click(timeout=1000 * PATIENCE)
    page.get_by_role("option", name=shape).click(timeout=1000 * PATIENCE)


def narrow(page: Page, slider: str, value: str) -> None:
    """Types into the number beside a slider."""
    row = page.get_by_text(slider, exact=True).locator("xpath=ancestor::*[.//input[@type='text']][1]")
    row.locator("input[type='text']").first.fill(value, timeout=1000 * PATIENCE)
    page.keyboard.press("Enter")


def test_a_scene_is_cropped_undone_and_saved(chromium: Browser, edited: tuple[Viewer, FileSource, str]) -> None:
    viewer, source, link = edited
    everything = left(source)
    with page_of(chromium, link) as page:
        page.set_default_timeout(1000 * PATIENCE)
        whole = settled(viewer, page)
        (session,) = viewer.sessions.values()
        open_tab(page, "Edit")
        crop_to(page, "box")
        until(lambda: session.chosen.marks is not None, page)
        narrow(page, "Width", "0.4")
        page.get_by_role("button", name="Keep inside").click()
        until(lambda: left(source) < everything, page)
        kept = left(source)
        assert 0 < kept
        until(lambda: session.frame is not None and session.frame.gaussians == kept, page)
        cropped = settled(viewer, page)
        assert np.abs(cropped - whole).mean() > 2
        page.get_by_role("button", name="Save edited scene").click()
        page.get_by_text("Saved").wait_for(timeout=1000 * PATIENCE)
        assert source.path is not None
        assert PlyData.read(str(source.path.with_name("scene-edited.ply")))["vertex"].count == kept
        assert PlyData.read(str(source.path))["vertex"].count == everything
        # The name is taken now, which is said.
        page.get_by_role("button", name="Save edited scene").click()
        page.get_by_text("already").wait_for(timeout=1000 * PATIENCE)
        page.locator("canvas").last.focus()
        page.keyboard.press("Control+z")
        until(lambda: left(source) == everything, page)
        assert np.abs(settled(viewer, page) - whole).mean() < 1
        page.keyboard.press("Control+Shift+z")
        until(lambda: left(source) == kept, page)


def test_a_rectangle_is_selected_in_magenta_and_deleted(
    chromium: Browser, edited: tuple[Viewer, FileSource, str]
) -> None:
    viewer, source, link = edited
    everything = left(source)
    with page_of(chromium, link) as page:
        page.set_default_timeout(1000 * PATIENCE)
        settled(viewer, page)
        (session,) = viewer.sessions.values()
        open_tab(page, "Edit")
        page.keyboard.down("Shift")
        page.mouse.move(200, 190)
        page.mouse.down()
        page.mouse.move(300, 300, steps=5)
        page.mouse.move(360, 400, steps=5)
        page.wait_for_timeout(200)
        page.mouse.up()
        page.keyboard.up("Shift")
        until(lambda: session.chosen.marks is not None, page)
        red, green, blue = settled(viewer, page).transpose(2, 0, 1)
        assert ((red > 200) & (blue > 200) & (green < 60)).mean() > 0.02
        marks = session.chosen.marks
        assert marks is not None and marks.selected is not None
        selected = int(marks.selected.sum())
        page.get_by_role("button", name="Delete", exact=True).click()
        until(lambda: left(source) == everything - selected, page)
        assert session.chosen.marks is None
        page.get_by_role("button", name="Undo").click()
        until(lambda: left(source) == everything, page)


def test_two_clicks_measure_and_set_the_scale(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        page.set_default_timeout(1000 * PATIENCE)
        settled(viewer[0], page)
        source = viewer[0].source
        open_tab(page, "Measure")
        page.get_by_role("button", name="Measure a distance").click()
        page.get_by_text("Click the first place").wait_for(timeout=1000 * PATIENCE)
        page.mouse.click(20, 380)
        page.get_by_text("nothing at this point").wait_for(timeout=1000 * PATIENCE)
        page.mouse.click(240, 250)
        page.get_by_text("Click the second place").wait_for(timeout=1000 * PATIENCE)
        page.mouse.click(330, 260)
        page.get_by_text("units").first.wait_for(timeout=1000 * PATIENCE)
        page.get_by_label("True length", exact=True).fill("0.25")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Set scale").click()
        until(lambda: source.scale.unit == "m", page)
        page.get_by_text("0.25 m").first.wait_for(timeout=1000 * PATIENCE)
        # The two places are a few tenths of the made-up ball's unit apart.
        assert 0.25 / 1.5 < source.scale.length < 0.25 / 0.05


def test_a_click_with_a_key_sets_the_pivot_or_flies(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        page.set_default_timeout(1000 * PATIENCE)
        settled(viewer[0], page)
        (session,) = viewer[0].sessions.values()
        start = session.stand
        page.keyboard.down("Control")
        page.mouse.click(240, 250)
        page.keyboard.up("Control")
        until(lambda: not np.allclose(session.stand.look_at, start.look_at, atol=1e-3), page)
        turned = session.stand
        assert np.allclose(turned.position, start.position, atol=1e-4)
        # What was clicked is in the middle now.
        toward = turned.look_at - turned.position
        toward /= np.linalg.norm(toward)
        until(lambda: np.allclose(session.chosen.pose.rotation[:, 2], toward, atol=0.02), page)
        settled(viewer[0], page)
        page.keyboard.down("Shift")
        page.mouse.click(280, 250)
        page.keyboard.up("Shift")
        until(lambda: not np.allclose(session.stand.position, turned.position, atol=0.2), page)
        page.wait_for_timeout(2000)
        there = session.stand
        before, after = (np.linalg.norm(stand.position - there.look_at) for stand in (turned, there))
        assert after == pytest.approx(0.4 * before, rel=0.02)
