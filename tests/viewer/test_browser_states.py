"""What the page's own script adds, in a real browser: it says when the server is gone, flies, and fits a phone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import PATIENCE, page_of, settled, until
from made_up import made_up_scene

from splat.viewer.gate import Door, Gate
from splat.viewer.loading import LoadingPage
from splat.viewer.server import Viewer
from splat.viewer.source import FileSource, open_source

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

#: Where the picture is uncovered and the scene solid.
X, Y = 280, 300
#: What a screen reader could not name.
UNNAMED = """[...document.querySelectorAll('button, input, [role=slider], [role=progressbar], img')].filter(
    found => found.checkVisibility() && !found.ariaHidden && found.tabIndex !== -1 && !(found.ariaLabel || found.title
    || found.alt || found.innerText.trim() || found.labels?.length)).map(found => found.outerHTML)"""


def place(viewer: Viewer) -> np.ndarray:
    (session,) = viewer.sessions.values()
    return np.asarray(session.client.camera.position)


def at_rest(viewer: Viewer, page: Page) -> np.ndarray:
    """The camera's place once it no longer moves."""
    places = [place(viewer)]

    def rests() -> bool:
        page.wait_for_timeout(400)
        places.append(place(viewer))
        return bool(np.allclose(places[-1], places[-2], atol=1e-4))

    until(rests, page)
    return places[-1]


def test_the_page_says_when_the_server_is_gone_and_finds_it_again(chromium: Browser, run: Path) -> None:
    source, first = open_source(run), Door.open("127.0.0.1", 0)
    port = first.port
    viewer = Viewer(source, first)

    def reopened(gate: Gate) -> Viewer:
        return Viewer(source, Door(gate, socket.create_server(("127.0.0.1", port)), port))

    with page_of(chromium, first.link) as page:
        banner = page.locator("#splat-banner")
        assert not banner.is_visible()
        viewer.close()
        page.get_by_text("The picture is frozen. Retrying… Is the terminal still running?").wait_for(
            timeout=1000 * PATIENCE
        )
        assert "Disconnected" in banner.inner_text() and "s ago." in banner.inner_text()
        viewer = reopened(first.gate)
        until(lambda: not banner.is_visible(), page)
        until(lambda: bool(viewer.sessions), page)
        settled(viewer, page)
        viewer.close()
        # Started anew it has another token, and the page cannot know it.
        viewer = reopened(Gate("127.0.0.1"))
        page.get_by_text("Open the one that its terminal shows now").wait_for(timeout=1000 * PATIENCE)
        viewer.close()
        # While the file is read again, the page that is open says how far it is.
        page.wait_for_timeout(500)
        third = Door(first.gate, socket.create_server(("127.0.0.1", port)), port)
        loading = LoadingPage(third)
        loading.tell("Loading scene.ply: 35 %", 35)
        page.get_by_text("Loading scene.ply: 35 %").wait_for(timeout=1000 * PATIENCE)
        loading.close()
        third.listener.close()


def test_the_loading_page_becomes_the_viewer(chromium: Browser) -> None:
    door = Door.open("127.0.0.1", 0)
    loading = LoadingPage(door)
    loading.tell("Loading big.ply: 35 %", 35)
    context = chromium.new_context()
    page = context.new_page()
    page.goto(door.link)
    page.get_by_text("Loading big.ply: 35 %").wait_for(timeout=1000 * PATIENCE)
    assert page.locator("progress").get_attribute("value") == "35"
    loading.close()
    viewer = Viewer(FileSource(made_up_scene(), "big"), door.again())
    page.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
    context.close()
    viewer.close()
    door.listener.close()


def test_double_click_flies_there_and_f_flies_freely(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        settled(viewer[0], page)
        (session,) = viewer[0].sessions.values()
        before = at_rest(viewer[0], page)
        page.mouse.dblclick(X, Y)
        until(lambda: bool(np.linalg.norm(place(viewer[0]) - before) > 0.1), page)
        there = at_rest(viewer[0], page)
        # A single click moves nothing.
        page.mouse.click(X + 40, Y)
        page.wait_for_timeout(600)
        assert np.allclose(there, at_rest(viewer[0], page), atol=1e-3)
        page.keyboard.press("f")
        page.locator("#splat-hud").wait_for(timeout=1000 * PATIENCE)
        page.keyboard.down("s")
        page.wait_for_timeout(700)
        page.keyboard.up("s")
        back = at_rest(viewer[0], page)
        assert np.linalg.norm(back - there) > 0.1
        looked = np.asarray(session.client.camera.wxyz)
        page.mouse.move(X, Y)
        page.mouse.down()
        page.mouse.move(X + 80, Y, steps=4)
        page.mouse.up()
        until(lambda: bool(np.abs(np.asarray(session.client.camera.wxyz) - looked).max() > 0.02), page)
        # Looking around moves nothing, where an orbit would.
        assert np.allclose(at_rest(viewer[0], page), back, atol=1e-3)
        page.keyboard.press("Escape")
        page.locator("#splat-hud").wait_for(state="hidden", timeout=1000 * PATIENCE)


def test_help_light_and_dark_and_names_for_all_buttons(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        page.keyboard.press("h")
        page.get_by_text("Fly there and turn around it").wait_for(timeout=1000 * PATIENCE)
        page.get_by_text("Next photo", exact=True).wait_for(timeout=1000 * PATIENCE)
        page.get_by_role("button", name="Close", exact=True).last.click()
        page.get_by_text("Fly there and turn around it").wait_for(state="hidden", timeout=1000 * PATIENCE)
        page.get_by_role("button", name="Keys and gestures (H)").click()
        page.get_by_text("Fly there and turn around it").wait_for(timeout=1000 * PATIENCE)
        page.get_by_role("button", name="Close", exact=True).last.click()
        scheme = "document.documentElement.getAttribute('data-mantine-color-scheme')"
        assert page.evaluate(scheme) == "light"  # As this browser prefers.
        page.get_by_role("button", name="Light or dark").click()
        until(lambda: page.evaluate(scheme) == "dark", page)
        page.reload()
        page.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
        until(lambda: page.evaluate(scheme) == "dark", page)
        for tab in page.get_by_role("tab").all():
            tab.click()
            until(lambda: page.evaluate(UNNAMED) == [], page)


@pytest.fixture
def phone(chromium: Browser, viewer: tuple[Viewer, str]) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(viewer[1])
    page.locator("#splat-chip").get_by_text("Gaussians").wait_for(timeout=1000 * PATIENCE)
    yield page
    context.close()


def touch(page: Page, *tracks: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Fingers that move, each from a place to another."""
    cdp: Any = page.context.new_cdp_session(page)

    def points(share: float) -> list[dict[str, float]]:
        return [
            {"x": a + share * (c - a), "y": b + share * (d - b), "id": i} for i, ((a, b), (c, d)) in enumerate(tracks)
        ]

    cdp.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points(0)})
    for step in range(1, 9):
        cdp.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points(step / 8)})
        page.wait_for_timeout(30)
    cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    cdp.detach()


def test_a_phone_is_used_with_fingers(phone: Page, viewer: tuple[Viewer, str]) -> None:
    """The controls start folded and open under a thumb; fingers orbit, pinch, pan, and a double tap flies."""
    (session,) = viewer[0].sessions.values()
    camera = session.client.camera
    assert not phone.get_by_role("tab", name="View").is_visible()
    start = at_rest(viewer[0], phone)
    distance = np.linalg.norm(start - camera.look_at)
    touch(phone, ((200, 350), (290, 360)))
    until(lambda: bool(np.linalg.norm(place(viewer[0]) - start) > 0.1), phone)
    orbited = at_rest(viewer[0], phone)
    assert np.linalg.norm(orbited - camera.look_at) == pytest.approx(distance, rel=0.02)
    touch(phone, ((180, 350), (120, 350)), ((220, 350), (280, 350)))
    until(lambda: bool(np.linalg.norm(place(viewer[0]) - camera.look_at) < 0.9 * distance), phone)
    at_rest(viewer[0], phone)
    target = np.asarray(camera.look_at)
    touch(phone, ((150, 300), (150, 400)), ((220, 300), (220, 400)))
    until(lambda: bool(np.linalg.norm(camera.look_at - target) > 0.05), phone)
    panned = at_rest(viewer[0], phone)
    phone.touchscreen.tap(195, 420)
    phone.touchscreen.tap(195, 420)
    until(lambda: bool(np.linalg.norm(place(viewer[0]) - panned) > 0.1), phone)
    phone.get_by_role("button", name="Controls").tap()
    phone.get_by_role("tab", name="View").wait_for(timeout=1000 * PATIENCE)
    until(lambda: phone.locator("#splat-chip").inner_text() == "", phone)
    sheet = phone.locator(".splat-sheet").bounding_box()
    assert sheet is not None and sheet["width"] == pytest.approx(390, abs=1) and sheet["height"] < 0.62 * 844
