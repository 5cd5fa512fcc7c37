"""Paths, videos, pictures and links in a real browser."""

from __future__ import annotations

import json
import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from browser import PATIENCE, open_tab, page_of, settled, until
from made_up import made_up_scene
from PIL import Image

from splat.render import render
from splat.viewer.server import Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Download, Page

pytestmark = pytest.mark.slow


def download(page: Page, press: str) -> Download:
    with page.expect_download(timeout=1000 * PATIENCE) as coming:
        page.get_by_text(press, exact=True).first.click(timeout=1000 * PATIENCE)
    return coming.value


def test_a_path_is_played_saved_spoilt_and_loaded(
    chromium: Browser, viewer: tuple[Viewer, str], tmp_path: Path
) -> None:
    with page_of(chromium, viewer[1]) as page:
        (session,) = viewer[0].sessions.values()
        first = settled(viewer[0], page)
        open_tab(page, "Path")
        page.get_by_role("button", name="orbit").click()
        page.get_by_text("12 keys · 12 s").wait_for(timeout=1000 * PATIENCE)
        start = session.chosen.pose
        page.keyboard.press("v")
        page.get_by_role("button", name="Stop").wait_for(timeout=1000 * PATIENCE)
        until(lambda: math.dist(session.chosen.pose.position, start.position) > 1, page)
        page.keyboard.press("v")
        page.get_by_role("button", name="Play").wait_for(timeout=1000 * PATIENCE)
        assert np.abs(settled(viewer[0], page) - first).mean() > 3
        # Here a key is added, behind the chosen first one.
        page.keyboard.press("k")
        page.get_by_text("13 keys").wait_for(timeout=1000 * PATIENCE)

        page.get_by_text("File", exact=True).click()
        download(page, "Save path").save_as(tmp_path / "path.json")
        saved = json.loads((tmp_path / "path.json").read_text())
        viewmat = session.camera().viewmats[0].double().numpy()
        assert np.allclose(saved["keys"][1]["position"], -viewmat[:3, :3].T @ viewmat[:3, 3], atol=1e-4)
        (tmp_path / "short.json").write_text((tmp_path / "path.json").read_text()[:-9])
        page.get_by_text("delete", exact=True).click()
        page.get_by_text("12 keys").wait_for(timeout=1000 * PATIENCE)
        for name, told in (("short.json", "short.json is not JSON"), ("path.json", "13 keys")):
            with page.expect_file_chooser() as chooser:
                page.get_by_text("Load path", exact=True).click()
            chooser.value.set_files(tmp_path / name)
            page.get_by_text(told).first.wait_for(timeout=1000 * PATIENCE)
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("12 keys").wait_for(timeout=1000 * PATIENCE)


def test_a_video_is_rendered_and_downloaded(chromium: Browser, viewer: tuple[Viewer, str], tmp_path: Path) -> None:
    import cv2

    with page_of(chromium, viewer[1]) as page:
        open_tab(page, "Path")
        page.get_by_role("button", name="orbit").click()
        page.get_by_text("12 keys").wait_for(timeout=1000 * PATIENCE)
        page.get_by_text("Video", exact=True).click()
        page.get_by_label("Length, s").fill("2")
        page.get_by_label("Per second").fill("2")
        page.get_by_text("12 keys · 2 s").wait_for(timeout=1000 * PATIENCE)
        page.get_by_role("button", name="Render video").click()
        page.get_by_text("Done: the page offers it").wait_for(timeout=1000 * PATIENCE)
        with page.expect_download(timeout=1000 * PATIENCE) as coming:
            page.get_by_text("run.mp4").first.click(timeout=1000 * PATIENCE)
        coming.value.save_as(tmp_path / "it.mp4")
        film = cv2.VideoCapture(str(tmp_path / "it.mp4"))
        frames = [frame for more, frame in iter(film.read, (False, None)) if more]
        film.release()
        assert [frame.shape for frame in frames] == 4 * [(1080, 1920, 3)]
        assert all(frame.std() > 15 for frame in frames) and np.abs(frames[0] - 1.0 * frames[2]).mean() > 3


def test_a_view_is_kept_as_a_picture_and_as_a_link(
    chromium: Browser, viewer: tuple[Viewer, str], tmp_path: Path
) -> None:
    with page_of(chromium, viewer[1]) as page:
        (session,) = viewer[0].sessions.values()
        settled(viewer[0], page)
        page.mouse.move(250, 300)
        page.mouse.down()
        page.mouse.move(420, 330, steps=6)
        page.mouse.up()
        until(lambda: not session.at_photo, page)
        here = settled(viewer[0], page)
        open_tab(page, "Share")
        page.get_by_text("Smooth edges", exact=True).wait_for(timeout=1000 * PATIENCE)
        picture = download(page, "Save picture")
        image = np.asarray(Image.open(BytesIO(Path(picture.path()).read_bytes())), dtype=float)
        camera = session.camera()
        wanted = render(made_up_scene(), camera, near=session.space.near).rgb[0].clamp(0, 1).numpy() * 255
        assert image.shape == wanted.shape
        assert 10 * math.log10(255**2 / ((image - wanted) ** 2).mean()) > 25, "smoothed, but the same picture"

        page.get_by_role("button", name="Link to this view").click()
        link = page.get_by_label("Link", exact=True).input_value(timeout=1000 * PATIENCE)
        assert "token" not in link
        other = page.context.new_page()
        other.set_viewport_size({"width": 900, "height": 500})
        other.goto(link)
        other.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
        until(lambda: len(viewer[0].sessions) == 2, other)
        there = settled(viewer[0], other)
        newcomer = list(viewer[0].sessions.values())[-1]
        assert torch.allclose(newcomer.camera().viewmats, session.camera().viewmats, atol=2e-3)
        assert np.abs(here - there).mean() < 6
        stranger = chromium.new_context().new_page()
        answer = stranger.goto(link)
        assert answer is not None and answer.status == 401
        stranger.context.close()


def test_a_hand_on_the_picture_ends_a_playing_path(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        (session,) = viewer[0].sessions.values()
        settled(viewer[0], page)
        open_tab(page, "Path")
        page.get_by_role("button", name="orbit").click()
        page.get_by_text("12 keys · 12 s").wait_for(timeout=1000 * PATIENCE)
        start = session.chosen.pose
        page.keyboard.press("v")
        until(lambda: math.dist(session.chosen.pose.position, start.position) > 0.2, page)
        page.mouse.move(250, 300)
        page.mouse.down()
        page.get_by_role("button", name="Play").wait_for(timeout=1000 * PATIENCE)
        before = session.chosen.pose
        page.mouse.move(310, 300, steps=5)
        page.mouse.up()
        until(lambda: session.chosen.pose != before, page)
        page.wait_for_timeout(1000)
        settled(viewer[0], page)
        assert math.dist(session.chosen.pose.position, start.position) > 0.1 and session.pilot is None


def test_a_thumb_flies_on_a_phone(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(viewer[1])
    page.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
    (session,) = viewer[0].sessions.values()
    until(lambda: session.frame is not None, page)
    start = session.chosen.pose
    page.get_by_role("button", name="Fly").tap(timeout=1000 * PATIENCE)
    box = page.locator("#splat-stick").bounding_box(timeout=1000 * PATIENCE)
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 40)
    until(lambda: math.dist(session.chosen.pose.position, start.position) > 0.3, page)
    page.mouse.up()
    # Ahead, since the thumb pushed up.
    moved = np.subtract(session.chosen.pose.position, start.position)
    assert moved @ start.rotation[:, 2] > 0.9 * np.linalg.norm(moved)
    context.close()
