"""Render modes and photos in a real browser: what keys, clicks and the Photos tab do to the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from browser import PATIENCE, open_tab, page_of, settled, until

from splat.viewer.camera import Stand
from splat.viewer.server import Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from viser import CameraFrustumHandle

    from splat.viewer.session import Session

pytestmark = pytest.mark.slow


def test_keys_choose_what_the_picture_says(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        colour = settled(viewer[0], page)
        (session,) = viewer[0].sessions.values()
        page.keyboard.press("2")
        until(lambda: session.chosen.mode == "depth", page)
        depth = settled(viewer[0], page)
        assert np.abs(depth - colour).mean() > 10
        page.get_by_text("distance along the view").wait_for(timeout=1000 * PATIENCE)
        page.keyboard.press("7")
        until(lambda: session.chosen.mode == "points", page)
        assert settled(viewer[0], page).mean() < 0.5 * colour.mean()
        page.keyboard.press("1")
        until(lambda: session.chosen.mode == "colour", page)
        assert np.abs(settled(viewer[0], page) - colour).mean() < 1


def test_a_click_on_a_camera_flies_to_its_photo(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        (session,) = viewer[0].sessions.values()
        session.stand_at(Stand(np.array([3.0, -3.5, 2.5]), np.zeros(3), np.array([0.0, 0.0, 1.0])))
        without = settled(viewer[0], page)
        open_tab(page, "Photos")
        page.get_by_label("Show cameras").click()
        until(lambda: len(session.gallery.thumbnails) == 10, page)
        shown = settled(viewer[0], page)
        assert 0.2 < np.abs(shown - without).mean() < 20
        page.mouse.click(*where(session, 6))
        until(lambda: session.view == 6 and session.at_photo, page)
        page.get_by_text("Photo 7 of 10").wait_for(timeout=1000 * PATIENCE)
        # Over a comparison there are none of them.
        page.keyboard.press("c")
        until(lambda: session.chosen.compare == "side by side", page)
        beside = settled(viewer[0], page)
        page.get_by_label("Show cameras").click()
        page.wait_for_timeout(1500)
        assert np.abs(settled(viewer[0], page) - beside).max() < 2


def test_all_photos_are_measured_and_the_worst_comes_first(chromium: Browser, viewer: tuple[Viewer, str]) -> None:
    with page_of(chromium, viewer[1]) as page:
        (session,) = viewer[0].sessions.values()
        open_tab(page, "Photos")
        page.get_by_role("button", name="Measure all photos").click()
        page.get_by_text("Held-out photos:").wait_for(timeout=1000 * PATIENCE)
        scores = session.gallery.scores
        assert sorted(scores) == list(range(10)) and min(scores.values()) > 40
        worst_first = sorted(scores, key=lambda index: (scores[index], index))
        place = worst_first.index(1)
        page.get_by_text("▶").click()
        until(lambda: session.view == worst_first[(place + 1) % 10] and session.at_photo, page)


def where(session: Session, index: int) -> tuple[float, float]:
    """The point of the page where the middle of a photo is seen in its camera."""
    handle = cast("CameraFrustumHandle", session.client.scene._handle_from_node_name[f"/photos/{index}"])
    camera = session.source.views[index].camera
    # viser makes the pyramid's volume the size's cube: its height is this.
    tangent = np.tan(handle.fov / 2)
    depth = handle.scale / np.cbrt(tangent * tangent * handle.aspect / 3)
    place = camera.positions[0].double() + camera.forwards[0].double() * depth / session.space.scale
    own = session.camera()
    seen = own.Ks[0].double() @ (own.viewmats[0].double() @ torch.cat([place, torch.ones(1).double()]))[:3]
    x, y = (seen[:2] / seen[2]).tolist()
    return x, y
