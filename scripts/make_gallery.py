"""Pictures of the viewer's page, and of the page for phones, for docs/gallery, taken in headless Chromium.

splat train datasets/sample -o run --iterations 1200 --downscale 2 --max-gaussians 60000
python scripts/make_gallery.py run docs/gallery
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from splat.export.page import write_page
from splat.formats import read
from splat.formats.cameras import read_cameras
from splat.viewer.gate import Door
from splat.viewer.server import Viewer
from splat.viewer.source import open_source

FLAGS = (
    "--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --disable-dev-shm-usage".split()
)
DESKTOP, PHONE = (1280, 800), (390, 844)
PATIENCE = 120_000  # milliseconds
REST = 6_000


def tab(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("tab", name=name).click()


def key(*names: str) -> Callable[[Page], None]:
    def press(page: Page) -> None:
        for name in names:
            page.keyboard.press(name)
            page.wait_for_timeout(500)

    return press


def button(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=name).first.click()


#: Name, size, and what is done before the picture is taken.
SCENES: list[tuple[str, tuple[int, int], list[Callable[[Page], None]]]] = [
    ("view", DESKTOP, []),
    ("depth", DESKTOP, [key("2")]),
    ("normals", DESKTOP, [key("4")]),
    ("ellipsoids", DESKTOP, [key("6")]),
    ("compare", DESKTOP, [tab("Photos"), key("c", "c")]),
    ("difference", DESKTOP, [tab("Photos"), key("c", "c", "c")]),
    (
        "cameras",
        DESKTOP,
        [tab("Photos"), lambda page: page.get_by_text("Show cameras").click(), key("s", "s", "s", "s")],
    ),
    ("edit", DESKTOP, [tab("Edit")]),
    ("measure", DESKTOP, [tab("Measure")]),
    ("path", DESKTOP, [tab("Path"), button("orbit")]),
    ("share", DESKTOP, [tab("Share")]),
    ("keys", DESKTOP, [key("h")]),
    ("phone", PHONE, []),
]


def exported_page(chromium: Browser, run: Path) -> Image.Image:
    """What `splat export run scene.html` shows on a phone."""
    cameras = [view.camera for view in read_cameras(run / "cameras.json")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.html"
        write_page(read(run / "scene.ply").with_sh_degree(1), path, title=run.name, cameras=cameras)
        context = chromium.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, has_touch=True, is_mobile=True)
        page = context.new_page()
        page.goto(f"{path.resolve().as_uri()}?noanim")
        page.wait_for_selector("body.ready", timeout=PATIENCE)
        page.wait_for_timeout(REST // 2)
        shot = Image.open(io.BytesIO(page.screenshot(timeout=PATIENCE))).convert("RGB")
        context.close()
    return shot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", help="names of pictures")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    door = Door.open("127.0.0.1", 0)
    viewer = Viewer(open_source(options.run), door)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (width, height), actions in SCENES:
            if options.only and name not in options.only:
                continue
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark", has_touch=width < height
            )
            page = context.new_page()
            page.goto(door.link)
            page.get_by_text("Gaussians").first.wait_for(timeout=PATIENCE)
            page.wait_for_timeout(REST)
            # viser's word about WebGL in software, which is only so here.
            page.add_style_tag(content=".mantine-Notifications-root { display: none }")
            for action in actions:
                action(page)
                page.wait_for_timeout(REST // 2)
            page.wait_for_timeout(REST)
            shot = Image.open(io.BytesIO(page.screenshot(timeout=PATIENCE))).convert("RGB")
            shot.save(options.folder / f"{name}.jpg", quality=80)
            context.close()
        if not options.only or "page" in options.only:
            exported_page(chromium, options.run).save(options.folder / "page.jpg", quality=80)
        chromium.close()
    viewer.close()


if __name__ == "__main__":
    main()
