"""The page for phones: in a browser it shows what `splat.render` does, follows fingers, and fetches nothing."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import html
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden_scenes
import numpy as np
import pytest
import torch
from browser import PATIENCE, launched, until
from conftest import unavailable
from PIL import Image

from splat.cameras import Cameras, intrinsics, look_at
from splat.errors import SplatError
from splat.export import page as pages
from splat.export.opening import Opening
from splat.export.page import write_page
from splat.flight import Flight, Key
from splat.formats import read
from splat.gaussians import Gaussians
from splat.render import render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTH, HEIGHT = 390, 844
BACKGROUND = (0.1, 0.15, 0.3)


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """What the build makes of viewer/web; skips where there was no Node."""
    if not pages.TEMPLATE.is_file():
        unavailable("node", "the page was not bundled: install Node.js, then `make web`")


@cache
def scene() -> Gaussians:
    """Many small golden rings, tumbling; unlike from every side and upside down. Not to be changed."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for _ in range(40):
        turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
        similarity = torch.eye(4, dtype=torch.float64)
        similarity[:3, :3] = 0.35 * turn * torch.linalg.det(turn)
        similarity[:3, 3] = torch.randn(3, generator=generator, dtype=torch.float64) * torch.tensor([0.5, 1.0, 0.5])
        parts.append(golden_scenes.rings().transform(similarity))
    return Gaussians.concat(parts)


def camera(up: tuple[float, float, float], width: int = WIDTH, height: int = HEIGHT) -> Cameras:
    position, target = torch.tensor([[1.2, 0.9, -4.6]]), torch.tensor([0.1, -0.2, 0.3])
    viewmats = look_at(position, target, torch.tensor(up))
    return Cameras(viewmats, intrinsics(width, height, 0.9)[None], width, height)


#: In COLMAP's worlds -y is roughly up; anything may be.
UP, UPSIDE_DOWN, ASLANT = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.6, 0.3, 0.5)


def parts(path: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """The page's settings, the viewer's code and the scene."""
    text = path.read_text(encoding="utf-8")
    settings = re.search(r'<script type="application/json" id="page">(.*?)</script>', text, re.S)
    assert settings
    code, *pieces = re.findall(r'<script type="text/plain">([^<]*)</script>', text)
    return json.loads(settings[1]), base64.b64decode(code), b"".join(map(base64.b64decode, pieces))


def test_the_page_holds_the_scene_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    title = "Grandma's <b> & {{page}}</title>"
    write_page(scene(), path, title=title, cameras=[camera(UP)], background=BACKGROUND)
    settings, code, sog = parts(path)
    text = path.read_text(encoding="utf-8")
    assert f"<title>{html.escape(title)}</title>" in text
    assert settings["bytes"] == len(sog) and settings["settings"]["background"]["color"] == list(BACKGROUND)
    (tmp_path / "scene.sog").write_bytes(sog)
    assert len(read(tmp_path / "scene.sog")) == len(scene())
    assert len(code) <= 600_000 and b"WebGL" in gzip.decompress(code)
    assert "Permission is hereby granted" in text and "SuperSplat Viewer 1.36.2, PlayCanvas 2.22.6" in text
    assert "user-scalable" not in text and "{{" not in text.replace(html.escape(title), "")
    assert (pages.TEMPLATE.parent / "LICENSE.txt").read_text().count("PlayCanvas Ltd.") == 1


@pytest.mark.parametrize("up", [UP, UPSIDE_DOWN, ASLANT])
def test_the_first_view_is_the_first_camera_s(up: tuple[float, float, float]) -> None:
    opening, view = Opening.of(scene(), [camera(up)]), camera(up).viewmats[0].double()
    pose = opening.pose()
    position, target = (torch.tensor(pose[name], dtype=torch.float64) for name in ("position", "target"))
    # The viewer's camera looks so, without a roll about its own up.
    viewers = look_at(position, target, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    points = scene().means.double()
    placed = torch.from_numpy(opening.placed(points.numpy()))
    assert torch.allclose(placed @ viewers[:3, :3].T + viewers[:3, 3], points @ view[:3, :3].T + view[:3, 3], atol=1e-4)
    assert pose["fov"] == pytest.approx(math.degrees(0.9), abs=1e-3)
    assert torch.allclose(opening.square(64).viewmats[0].double(), view, atol=1e-4)


@pytest.mark.parametrize("up", [UP, UPSIDE_DOWN, ASLANT])
def test_levelling_turns_up_to_where_the_viewer_has_it(up: tuple[float, float, float]) -> None:
    opening = Opening.of(scene(), [camera(up)])
    assert np.allclose(opening.levelling @ opening.up, [0, -1, 0])
    assert np.allclose(opening.levelling @ opening.levelling.T, np.eye(3))
    assert np.linalg.det(opening.levelling) == pytest.approx(1)


def around(count: int, outwards: bool) -> Cameras:
    angles = torch.arange(count) * (2 * math.pi / count)
    positions = torch.stack([2 * angles.cos(), 0.1 * angles, 2 * angles.sin()], dim=-1)
    targets = 3 * positions if outwards else torch.zeros(3)
    viewmats = look_at(positions, targets, torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(viewmats, intrinsics(90, 60, 1.0).expand(count, 3, 3).clone(), 90, 60)


@pytest.mark.parametrize(("outwards", "explore"), [(False, "orbit"), (True, "fly")])
def test_one_walks_around_what_was_walked_around(outwards: bool, explore: str) -> None:
    opening = Opening.of(scene(), [around(12, outwards)])
    assert opening.explore == explore
    if not outwards:
        assert np.allclose(opening.focus, 0, atol=0.3)
    assert opening.fov == pytest.approx(2 * math.atan(1.5 * math.tan(0.5)), abs=1e-4)


def test_the_flight_begins_with_the_first_view_or_is_the_one_given() -> None:
    opening = Opening.of(scene(), [camera(ASLANT)])
    gentle = opening.track(None)
    values = gentle["keyframes"]["values"]
    assert values["position"][:3] == pytest.approx(opening.pose()["position"], abs=1e-4)
    assert gentle["loopMode"] == "repeat" and gentle["keyframes"]["times"][-1] < 30 * gentle["duration"]
    away = np.array(values["position"]).reshape(-1, 3) - np.array(values["target"]).reshape(-1, 3)
    assert np.allclose(np.linalg.norm(away, axis=1), np.linalg.norm(away[0]), rtol=1e-4)

    keys = tuple(Key.of(camera(UP).viewmats[0].double().numpy() @ shift, 0.9) for shift in shifts())
    track = opening.track(Flight(keys))
    values = track["keyframes"]["values"]
    assert track["loopMode"] == "none" and track["keyframes"]["times"][-1] == pytest.approx(30 * track["duration"])
    assert values["position"][:3] == pytest.approx(opening.placed(np.array(keys[0].position)), abs=1e-4)
    assert values["position"][-3:] == pytest.approx(opening.placed(np.array(keys[-1].position)), abs=1e-4)
    closed = opening.track(Flight(keys, loop=True))
    assert closed["loopMode"] == "repeat" and closed["keyframes"]["times"][-1] < 30 * closed["duration"]


def shifts() -> list[np.ndarray]:
    """Two moves of a camera."""
    moves = [np.eye(4), np.eye(4)]
    moves[1][0, 3] = 0.5
    return moves


def test_what_there_is_nothing_of_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = scene().select(torch.zeros(0, dtype=torch.long))
    with pytest.raises(SplatError, match="no Gaussians"):
        write_page(empty, tmp_path / "page.html", title="")
    monkeypatch.setattr(pages, "TEMPLATE", tmp_path / "none.html")
    with pytest.raises(SplatError, match="make web"):
        write_page(scene(), tmp_path / "page.html", title="")
    assert not (tmp_path / "page.html").exists()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@contextmanager
def opened(
    browser: Browser, path: Path, query: str = "?noanim", *, script: str = "", works: bool = True
) -> Iterator[Page]:
    """The page on a phone's screen; it may ask for nothing but itself, and complain of nothing if it `works`."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, has_touch=True, is_mobile=True)
    page, complaints, requests = context.new_page(), [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.extend([message.text] * (message.type in ("error", "warning"))))
    page.on("request", lambda request: requests.append(request.url))
    if script:
        page.add_init_script(script)
    page.goto(path.as_uri() + query, timeout=1000 * PATIENCE)
    page.wait_for_selector("body.ready" if works else "#failure:visible", timeout=1000 * PATIENCE)
    # The poster fades.
    page.wait_for_timeout(800)
    yield page
    assert [url for url in requests if not url.startswith("blob:")] == [path.as_uri() + query]
    assert not works or not complaints
    context.close()


def picture(page: Page) -> np.ndarray:
    """[H, W, 3] in [0, 1] of what is on the screen, without the controls."""
    page.add_style_tag(content="#controls, #hint { display: none !important }")
    shot = Image.open(BytesIO(page.screenshot(timeout=1000 * PATIENCE))).convert("RGB")
    return np.asarray(shot) / 255


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return -10 * math.log10(float(((a - b) ** 2).mean()))


@pytest.mark.slow
@pytest.mark.parametrize("antialias", ["classic", "antialiased"])
@pytest.mark.parametrize("up", [UP, UPSIDE_DOWN, ASLANT])
def test_it_shows_what_render_does(chromium: Browser, tmp_path: Path, up: tuple, antialias: str) -> None:
    gaussians, view = dataclasses.replace(scene(), antialias=antialias), camera(up)
    write_page(gaussians, tmp_path / "page.html", title="rings", cameras=[view], background=BACKGROUND)
    image = render(gaussians, view, background=torch.tensor(BACKGROUND)).rgb[0].clamp(0, 1).numpy()
    with opened(chromium, tmp_path / "page.html") as page:
        shown = picture(page)
    assert psnr(shown, image) > 28
    # It is this picture, and no other one of the same scene would pass.
    assert psnr(shown[:, ::-1], image) < 22 and psnr(shown[::-1], image) < 22


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(scene(), path, title="rings", cameras=[camera(UP)], background=BACKGROUND)
    return path


class Fingers:
    """Touches on a page, as a phone's screen reports them."""

    def __init__(self, page: Page) -> None:
        self.page, self.session = page, page.context.new_cdp_session(page)

    def move(self, ways: list[tuple[tuple[float, float], tuple[float, float]]], steps: int = 12) -> None:
        """Each finger goes from one place to another, px."""
        self._send("touchStart", [start for start, _ in ways])
        for step in range(1, steps + 1):
            share = step / steps
            places = [(a + share * (c - a), b + share * (d - b)) for (a, b), (c, d) in ways]
            self._send("touchMove", places)
            self.page.wait_for_timeout(30)
        self._send("touchEnd", [])
        # What was begun swings out.
        self.page.wait_for_timeout(1500)

    def _send(self, kind: str, places: list[tuple[float, float]]) -> None:
        points = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def ink(shown: np.ndarray) -> float:
    """The share of the picture that is not background."""
    return float((np.abs(shown - np.array(BACKGROUND)).max(-1) > 0.05).mean())


@pytest.mark.slow
def test_fingers_turn_move_and_zoom(chromium: Browser, path: Path) -> None:
    with opened(chromium, path) as page:
        fingers, first = Fingers(page), picture(page)
        fingers.move([((100, 400), (280, 430))])
        turned = picture(page)
        assert psnr(first, turned) < 25
        page.evaluate("document.getElementById('reset').click()")
        page.wait_for_timeout(3000)
        assert psnr(first, picture(page)) > 35
        fingers.move([((190, 380), (120, 250)), ((200, 460), (270, 590))])
        near = picture(page)
        assert ink(near) > 1.3 * ink(first)
        page.evaluate("document.getElementById('reset').click()")
        page.wait_for_timeout(3000)
        fingers.move([((150, 400), (150, 560)), ((240, 400), (240, 560))])
        rows = np.abs(picture(page) - np.array(BACKGROUND)).max(-1).mean(1) > 0.02
        before = np.abs(first - np.array(BACKGROUND)).max(-1).mean(1) > 0.02
        assert rows.nonzero()[0].mean() > before.nonzero()[0].mean() + 50


@pytest.mark.slow
def test_the_flight_plays_until_a_touch_and_again(chromium: Browser, path: Path) -> None:
    def playing(page: Page) -> bool:
        return page.get_attribute("#play", "aria-pressed") == "true"

    with opened(chromium, path, "") as page:
        until(lambda: playing(page), page)
        Fingers(page).move([((100, 400), (130, 400))], steps=3)
        assert not playing(page)
        page.get_by_role("button", name="Play the camera flight").tap(timeout=1000 * PATIENCE)
        until(lambda: playing(page), page)
        page.get_by_role("button", name="Stop the camera flight").tap(timeout=1000 * PATIENCE)
        until(lambda: not playing(page), page)


@pytest.mark.slow
def test_fewer_pixels_while_frames_take_long_and_all_at_rest(chromium: Browser, path: Path) -> None:
    # A frame takes a tenth of a second.
    slow = """const plain = requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (frame) => plain((time) => {
        const end = performance.now() + 100; while (performance.now() < end); frame(time); });"""
    with opened(chromium, path, "", script=slow) as page:
        until(lambda: page.evaluate("document.querySelector('canvas').width") < 0.6 * WIDTH, page)
        page.evaluate("document.getElementById('play').click()")
        until(lambda: page.evaluate("document.querySelector('canvas').width") == WIDTH, page)


@pytest.mark.slow
def test_what_goes_wrong_is_said_on_the_page(chromium: Browser, path: Path, tmp_path: Path) -> None:
    text, broken = path.read_text(encoding="utf-8"), tmp_path / "broken.html"
    scene_begins = text.index("splat.code()")
    reason = "document.getElementById('reason').textContent"

    no_webgl = "HTMLCanvasElement.prototype.getContext = () => null"
    with opened(chromium, path, script=no_webgl, works=False) as page:
        assert "WebGL" in page.evaluate(reason)
    begin = text.index('text/plain">', scene_begins) + len('text/plain">')
    end = text.index("</script>", begin)
    broken.write_text(text[: begin + 4000] + text[end:])
    with opened(chromium, broken, works=False) as page:
        assert "cut short" in page.evaluate(reason)
    # Wherever a download stopped: in the scene, or in the viewer before it.
    for there in (begin + 4000, scene_begins - 4000):
        broken.write_text(text[:there])
        with opened(chromium, broken, works=False) as page:
            assert "cut short" in page.evaluate(reason)
    broken.write_text(text[: begin + 4000] + "*" + text[begin + 4001 :])
    with opened(chromium, broken, works=False) as page:
        assert "damaged" in page.evaluate(reason)
    # The zip's last bytes, without which nobody knows what is in it.
    broken.write_text(text[: end - 204] + "A" * 200 + text[end - 4 :])
    with opened(chromium, broken, works=False) as page:
        assert "cannot be read" in page.evaluate(reason)


@pytest.mark.slow
def test_every_control_has_a_name(chromium: Browser, path: Path) -> None:
    with opened(chromium, path) as page:
        for button in page.locator("button").all():
            name = button.get_attribute("aria-label") or button.text_content()
            assert name and name.strip()
        page.get_by_role("button", name="About this page").tap()
        dialog = page.get_by_role("dialog")
        assert "SuperSplat Viewer" in (dialog.text_content() or "")
        dialog.get_by_role("button", name="Close").tap()
        assert page.locator("canvas[role=img][aria-label=rings]").count() == 1
