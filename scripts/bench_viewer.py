"""How soon and how often the viewer's pictures come, for one browser and for many, and what they cost training.

    SPLAT_DATA=DATA python scripts/bench_viewer.py                          # about 3 minutes
    SPLAT_DATA=DATA python scripts/bench_viewer.py --soak 10 --browser      # and memory over 10 minutes; Chromium

The viewer runs in a process of its own, on 200,000 Gaussians at real points. Its browsers are Python programs that
speak viser's protocol: each sends poses of a camera that circles, on a canvas of 1280 x 720, and reads the pictures
that come. They share the machine with it. Training is datasets/sample at a fixed number of Gaussians, with and without
a browser by turns. Prints a Markdown table; --json writes the figures.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Waiting OpenMP threads spin by default, which costs the ones that work; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import msgspec
import numpy as np
import viser
import zstandard
from bench_scenes import garden
from PIL import Image
from websockets.sync.client import connect

from splat.files import atomic
from splat.quaternions import from_matrix
from splat.train.config import SaveConfig, TrainConfig
from splat.train.listeners import Listener, StepReport
from splat.train.run import train
from splat.train.trainer import Trainer
from splat.viewer.gate import Door
from splat.viewer.server import LiveViewer, Viewer
from splat.viewer.source import FileSource

COUNT, WIDTH, HEIGHT = 200_000, 1280, 720
SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
#: Poses a second that a browser sends while it moves, and seconds that are measured.
POSES, SECONDS = 30, 8.0
CLIENTS = (1, 4, 16)
#: Radians a second around the scene.
SPEED = 0.5
#: Turns without and with a browser while a run trains, seconds of each, and until the viewer has spent what it had
#: saved up of its share before.
TURNS, TURN, SETTLING = 8, 4.0, 3.0
PATIENCE = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--soak", type=float, default=0.5, metavar="MINUTES", help="how long memory is watched")
    parser.add_argument("--browser", action="store_true", help="also the first picture in headless Chromium")
    parser.add_argument("--serve", choices=["scene", "training"], help="be the viewer, and print its link")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    figures: dict[str, Any] = {}
    with served("scene") as server:
        figures["first_picture_ms"] = first_picture(server.link)
        if options.browser:
            figures["first_picture_chromium_ms"] = first_picture_in_chromium(server.link)
        figures["latency_ms_median"], figures["latency_ms_p90"] = latency(server.link)
        for clients in CLIENTS:
            figures |= moving(server.link, clients)
        figures |= still(server.link)
        figures |= soak(server, 60 * options.soak)
    with served("training") as server:
        figures |= training(server)
    print(table(figures))
    if options.json:
        with atomic(options.json) as partial:
            partial.write_text(json.dumps(figures, indent=1) + "\n")


def serve(what: str) -> None:
    """The process that is measured: prints its link, and ends with its standard input."""
    if what == "scene":
        door = Door.open("127.0.0.1", 0)
        Viewer(FileSource(garden(COUNT, WIDTH, HEIGHT).gaussians, "garden"), door)
        print(door.link, flush=True)
        sys.stdin.read()
        os._exit(0)
    live = LiveViewer(port=0, announce=lambda text: print(text.split()[1], flush=True))
    # As many Gaussians from the start as at the end, so that steps stay as they are.
    config = TrainConfig(iterations=1_000_000, downscale=4, max_gaussians=6000, save=SaveConfig(checkpoint_every=0))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        train(SAMPLE, Path(folder) / "run", config, listeners=[live, Steps()])


class Steps(Listener):
    """Prints each step's number."""

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        print(report.step, flush=True)


class Served:
    """A viewer in a process of its own."""

    def __init__(self, what: str) -> None:
        command = [sys.executable, __file__, "--serve", what]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.link = self._process.stdout.readline().strip()
        self.steps = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def mib(self) -> float:
        """Memory that is resident."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.steps = int(line)


@contextmanager
def served(what: str) -> Iterator[Served]:
    server = Served(what)
    try:
        yield server
    finally:
        server.close()


class Browser:
    """A program that looks as a browser does: sends poses, and notes each picture's time and size."""

    def __init__(self, link: str) -> None:
        address, token = link.replace("http:", "ws:").split("?token=")
        protocol: Any = f"viser-v{viser.__version__}"
        self.opened = time.perf_counter()
        self._socket = connect(
            address,
            subprotocols=[protocol],
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            max_size=None,
        )
        self.pictures: list[tuple[float, int]] = []  # when, and how wide
        self._new = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        self.look(0.0)

    def look(self, angle: float) -> float:
        """Sends a pose on a circle; returns when."""
        position = 2 * np.array([math.sin(angle), -math.cos(angle), 0.3])
        forward = -position / np.linalg.norm(position)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
        message = {
            "type": "ViewerCameraMessage",
            "wxyz": tuple(from_matrix(rotation).tolist()),
            "position": tuple(position.tolist()),
            "fov": 0.9,
            "near": 0.01,
            "far": 1000.0,
            "image_height": HEIGHT,
            "image_width": WIDTH,
            "look_at": (0.0, 0.0, 0.0),
            "up_direction": (0.0, 0.0, 1.0),
        }
        sent = time.perf_counter()
        self._socket.send(msgspec.msgpack.encode(message))
        return sent

    def picture(self, after: float, width: int = 0) -> float:
        """When the first picture came after a moment, at least so wide; waits for it."""
        with self._new:
            found = self._new.wait_for(lambda: self._first(after, width), PATIENCE)
        if found is None:
            raise TimeoutError("no picture came")
        return found

    def between(self, start: float, end: float) -> int:
        """How many pictures came."""
        return sum(start <= when < end for when, _ in self.pictures)

    def close(self) -> None:
        self._socket.close()

    def _first(self, after: float, width: int) -> float | None:
        return next((when for when, wide in self.pictures if when > after and wide >= width), None)

    def _listen(self) -> None:
        unpack = zstandard.ZstdDecompressor()
        for data in self._socket:
            now = time.perf_counter()
            assert isinstance(data, bytes)
            size, packed = (int.from_bytes(data[i : i + 8], "little") for i in (0, 8))
            head = msgspec.msgpack.decode(unpack.decompress(data[16 : 16 + packed], max_output_size=size))
            for message in head["messages"]:
                if message["type"] == "BackgroundImageMessage" and message["rgb_data"]:
                    with self._new:
                        self.pictures.append((now, Image.open(io.BytesIO(message["rgb_data"])).width))
                        self._new.notify_all()


def first_picture(link: str) -> float:
    """Milliseconds from the page's first word to its first picture, median."""
    seconds = []
    for _ in range(5):
        browser = Browser(link)
        seconds.append(browser.picture(browser.opened) - browser.opened)
        browser.close()
        time.sleep(0.5)
    return 1000 * statistics.median(seconds)


def first_picture_in_chromium(link: str) -> float:
    """The same in headless Chromium with WebGL in software: from the address to a picture on the page."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    flags = "--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader".split()
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=flags)
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        started = time.perf_counter()
        page.goto(link)
        page.get_by_text("Gaussians").first.wait_for(timeout=1000 * PATIENCE)
        milliseconds = 1000 * (time.perf_counter() - started)
        chromium.close()
    return milliseconds


def latency(link: str) -> tuple[float, float]:
    """Milliseconds from a pose to its picture while moving, the next pose sent once it is there; median and p90."""
    browser, seconds = Browser(link), []
    browser.picture(browser.opened)
    for step in range(120):
        sent = browser.look(0.01 * step)
        seconds.append(browser.picture(sent) - sent)
        time.sleep(0.03)
    browser.close()
    # The size of previews is found in the first of them.
    settled = sorted(seconds[20:])
    return 1000 * statistics.median(settled), 1000 * settled[len(settled) * 9 // 10]


def moving(link: str, count: int) -> dict[str, float]:
    """Pictures a second for so many browsers that all move, and the slowest's share of the mean."""
    browsers = [Browser(link) for _ in range(count)]
    for browser in browsers:
        browser.picture(browser.opened)
    started = time.perf_counter()
    begin, end = started + 2.0, started + 2.0 + SECONDS
    while (now := time.perf_counter()) < end:
        for index, browser in enumerate(browsers):
            browser.look(SPEED * (now - started) + index)
        time.sleep(max(0.0, 1 / POSES - (time.perf_counter() - now)))
    rates = [browser.between(begin, end) / SECONDS for browser in browsers]
    widths = [width for browser in browsers for when, width in browser.pictures if begin <= when < end]
    for browser in browsers:
        browser.close()
    mean = sum(rates) / count
    name = "moving" if count == 1 else f"{count}_clients"
    found = {f"fps_{name}": mean, f"width_{name}": statistics.median(widths)}
    return found if count == 1 else {**found, f"fairness_{name}": min(rates) / mean}


def still(link: str) -> dict[str, float]:
    """Milliseconds from the last movement to the whole picture, with the rest that shows the movement is over."""
    browser, seconds = Browser(link), []
    browser.picture(browser.opened)
    for step in range(5):
        browser.picture(browser.look(0.2 * step + 0.1))
        sent = browser.look(0.2 * step)
        seconds.append(browser.picture(sent, WIDTH) - sent)
    browser.close()
    return {"still_ms": 1000 * statistics.median(seconds)}


def soak(server: Served, seconds: float) -> dict[str, float]:
    """Memory while browsers come, move and go: after the first tenth of the time, and at the end."""
    started, first = time.perf_counter(), 0.0
    while (elapsed := time.perf_counter() - started) < seconds:
        moving_for(server.link, min(5.0, seconds / 10))
        first = first or (server.mib if elapsed > seconds / 10 else 0.0)
    return {"soak_minutes": seconds / 60, "mib_begin": first, "mib_end": server.mib}


def moving_for(link: str, seconds: float) -> None:
    browser = Browser(link)
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        browser.look(SPEED * elapsed)
        time.sleep(1 / POSES)
    browser.close()


def training(server: Served) -> dict[str, float]:
    """Steps a second without and with a browser that moves, by turns; and its pictures a second."""
    while server.steps < 200:
        time.sleep(0.1)
    alone, beside, pictures = [], [], []
    for _ in range(TURNS):
        alone.append(_steps_in(server, TURN))
        browser = Browser(server.link)
        stop = threading.Event()
        mover = threading.Thread(target=_move_until, args=(browser, stop))
        mover.start()
        time.sleep(SETTLING)
        begin = time.perf_counter()
        beside.append(_steps_in(server, TURN))
        pictures.append(browser.between(begin, begin + TURN) / TURN)
        stop.set()
        mover.join()
        browser.close()
    return {
        "steps_per_second_alone": statistics.median(alone),
        "steps_per_second_viewed": statistics.median(beside),
        "training_slowdown": 1 - statistics.median(b / a for a, b in zip(alone, beside, strict=True)),
        "fps_training": statistics.median(pictures),
    }


def _steps_in(server: Served, seconds: float) -> float:
    before, started = server.steps, time.perf_counter()
    time.sleep(seconds)
    return (server.steps - before) / (time.perf_counter() - started)


def _move_until(browser: Browser, stop: threading.Event) -> None:
    started = time.perf_counter()
    while not stop.wait(1 / POSES):
        browser.look(SPEED * (time.perf_counter() - started))


def table(figures: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value:.3g} |" for name, value in figures.items())])


if __name__ == "__main__":
    main()
