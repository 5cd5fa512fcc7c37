"""While a scene is read: a page that says how far it is, on the door that the viewer will have."""

from __future__ import annotations

import json
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splat.errors import SplatError
from splat.viewer.gate import Door, answerer, is_websocket, response
from splat.viewer.inject import STATE
from splat.viewer.panels.text import without_folders
from splat.viewer.source import FileSource, open_source

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

#: Bytes read at a time, and seconds that a page is given to learn why there will be no scene.
PIECE, FAREWELL = 16 << 20, 2.0
_NOT_YET = "The scene is still being read.\n"


class LoadingPage:
    """Answers browsers until `close()`: the page, and for pages that are open already how far it is.

    Attributes:
        state: what a page is told: the state "loading" or "failed", a sentence, and the percent, None if not known.
        asked: when a page last did, on the steady clock.
    """

    def __init__(self, door: Door) -> None:
        from websockets.sync.server import serve

        self.state: dict[str, Any] = {}
        self.asked = float("-inf")
        self.tell("Loading…", None)
        page = (Path(__file__).parent / "web" / "loading.html").read_bytes()

        def inside(connection: Any, request: Request) -> Response:
            path = request.path.partition("?")[0]
            if path == STATE:
                self.asked = time.monotonic()
                return response(HTTPStatus.OK, json.dumps(self.state), "application/json")
            if path == "/" and not is_websocket(request.headers):
                return response(HTTPStatus.OK, page, "text/html; charset=utf-8")
            return response(HTTPStatus.SERVICE_UNAVAILABLE, _NOT_YET)

        # The socket is the viewer's afterwards; who knocks in between waits in its queue.
        sock = door.listener.dup()
        self._server = serve(lambda _: None, sock=sock, process_request=answerer(door.gate, inside))
        self._thread = threading.Thread(target=self._server.serve_forever, name="loading", daemon=True)
        self._thread.start()

    def tell(self, text: str, percent: int | None) -> None:
        self.state = {"state": "loading", "text": text, "percent": percent}

    def fail(self, problem: str) -> None:
        """Says why there will be no scene, and waits until a page that is open has read it."""
        self.state = {"state": "failed", "text": without_folders(problem), "percent": None}
        if time.monotonic() - self.asked < FAREWELL:
            time.sleep(FAREWELL)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


def load(path: Path, door: Door, device: str) -> FileSource:
    """Reads a scene while the door's page says how far it is.

    Raises:
        SplatError: there is no scene, or it cannot be read; the page has said so too.
    """
    page = LoadingPage(door)
    try:
        _read_through(scene_file(path), page)
        return open_source(path, device)
    except SplatError as problem:
        page.fail(str(problem))
        raise
    finally:
        page.close()


def scene_file(path: Path) -> Path:
    """The file that holds the scene: of a run's folder the one in it."""
    return path / "scene.ply" if path.is_dir() else path


def _read_through(path: Path, page: LoadingPage) -> None:
    """Has the system fetch a file, which is the slow part and can be counted; from then on it lies in memory."""
    try:
        total, done = max(1, path.stat().st_size), 0
        with path.open("rb", buffering=0) as file:
            while piece := len(file.read(PIECE)):
                done += piece
                percent = min(100, 100 * done // total)  # The file may grow meanwhile.
                page.tell(f"Loading {path.name}: {percent} %", percent)
    except OSError:
        return  # Whoever reads it in earnest says what is wrong.
    page.tell(f"Preparing {path.name}…", None)
