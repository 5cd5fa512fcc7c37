"""The server of exported files: what is on the shelf, to those who have the link, and nothing else."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from splat.export import server
from splat.export.server import Server, Shelf
from splat.viewer.gate import bind


class Visitor:
    """Asks a server for paths."""

    def __init__(self, shelf: Shelf, port: int) -> None:
        self.shelf, self.port = shelf, port

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of what is under the token."""
        return self.raw(f"/{self.shelf.token}/{path}", method, **headers)

    def raw(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    (folder / "scene.html").write_text("<p>scene")
    (folder / "code.mjs").write_text("0")
    (folder / "scene.glb").write_bytes(bytes(range(100)))
    (folder / "inner" / "a b.sog").write_bytes(b"sog")
    (folder / ".hidden").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


def served(shelf: Shelf) -> Iterator[Visitor]:
    with Server(shelf, bind("127.0.0.1", 0)) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=[0.01])
        thread.start()
        yield Visitor(shelf, serving.server_address[1])
        serving.shutdown()
        thread.join()


@pytest.fixture
def visitor(folder: Path) -> Iterator[Visitor]:
    yield from served(Shelf(folder, False))


def test_files_come_with_their_kind(visitor: Visitor) -> None:
    status, headers, body = visitor.get("scene.html")
    assert (status, body) == (200, b"<p>scene") and headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
    assert visitor.get("scene.glb")[1]["Content-Type"] == "model/gltf-binary"
    assert visitor.get("code.mjs")[1]["Content-Type"] == "text/javascript; charset=utf-8", "else no browser runs it"
    assert visitor.get("inner/a%20b.sog")[2] == b"sog"
    status, headers, body = visitor.get("scene.glb", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "100", b"")


def test_a_folder_is_listed_without_what_is_hidden(visitor: Visitor, folder: Path) -> None:
    _, _, body = visitor.get("")
    assert b"scene.html" in body and b"inner/" in body and b".hidden" not in body
    status, headers, _ = visitor.get("inner")
    assert status == 302 and headers["Location"].endswith("/inner/")
    (folder / "index.html").write_text("index")
    assert visitor.get("")[2] == b"index"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "%2e%2e/secret.txt", "inner/../../secret.txt", "..%2fsecret.txt", "..\\secret.txt", ".hidden"]
    + ["link.txt", "none.html", "//etc/passwd", "inner//a%20b.sog", "scene.html%00", "./scene.html", "%00"],
)
def test_nothing_else_is_served(visitor: Visitor, path: str) -> None:
    status, _, body = visitor.get(path)
    assert status == 404 and b"secret" not in body


def test_only_with_the_link_and_by_our_own_name(visitor: Visitor) -> None:
    for path in ("/", "/scene.html", "/wrong/scene.html", f"/{visitor.shelf.token[:-1]}/scene.html", "//", "*"):
        assert visitor.raw(path)[0] == 404
    assert visitor.get("scene.html", Host="evil.example")[0] == 421
    assert visitor.get("scene.html", Host="192.168.0.9")[0] == 421
    assert visitor.get("scene.html", Host=f"localhost:{visitor.port}")[0] == 200
    assert Shelf(visitor.shelf.root, True).is_ours("192.168.0.9:80") and not visitor.shelf.is_ours("[::1")
    assert visitor.get("scene.html", "POST")[0] == 501


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=0-9", 206, bytes(range(10))),
        ("bytes=90-", 206, bytes(range(90, 100))),
        ("bytes=-5", 206, bytes(range(95, 100))),
        ("bytes=50-900", 206, bytes(range(50, 100))),
        ("bytes=100-", 416, b""),
        ("bytes=9-3", 416, b""),
        ("bytes=-", 200, bytes(range(100))),
        ("lines=1-2", 200, bytes(range(100))),
    ],
)
def test_ranges(visitor: Visitor, asked: str, status: int, body: bytes) -> None:
    found = visitor.get("scene.glb", Range=asked)
    assert (found[0], found[2]) == (status, body)


def test_who_may_not_be_read_is_no_file(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(path: Path, mode: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "open", locked)
    assert visitor.get("scene.html")[0] == 404


def test_a_crowd_is_hung_up_on(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST", threading.active_count() + 3)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", visitor.port), 10)) for _ in range(9)]
        assert crowd[-1].recv(1) == b""
    until = time.monotonic() + 10
    while threading.active_count() > server.MOST and time.monotonic() < until:
        time.sleep(0.01)
    assert visitor.get("scene.html")[0] == 200, "once they are gone"


def test_one_file_alone(folder: Path) -> None:
    for visitor in served(Shelf(folder / "scene.html", False)):
        assert visitor.get("")[2] == visitor.get("scene.html")[2] == b"<p>scene"
        assert visitor.get("scene.glb")[0] == 404


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
@pytest.mark.parametrize("words", [[], ["--share"]])
def test_the_command_prints_the_link_and_ends_with_ctrl_c(folder: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "splat", "serve", str(folder), "--port", "0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "DISPLAY": ""}) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        link = line.split()[-1]
        assert link.startswith("http://") and ("127.0.0.1" in link) == (not words)
        if words:
            assert any(block in process.stderr.readline() for block in "█▄▀")
        path = "/" + link.split("/", 3)[3]
        port = int(link.split("/")[2].rsplit(":", 1)[1])
        assert Visitor(Shelf(folder, False), port).raw(path + "scene.html")[2] == b"<p>scene"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
