"""A small server for exported files: one file or one folder, under an address that nobody guesses.

It reads nothing but the files that it was told to, and answers only who knows the link and calls the server by an
address of this machine's (another name may be a foreign page's, pointed here).
"""

from __future__ import annotations

import contextlib
import hmac
import html
import re
import secrets
import socket
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from splat.viewer.gate import calls_us

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
}
LISTING = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ font: 18px/2 system-ui, sans-serif; margin: 24px; background: #15181d }}
a {{ color: #fff }} ul {{ list-style: none; padding: 0 }}
</style></head><body><ul>{links}</ul></body></html>
"""
#: Seconds after which who says nothing is hung up on.
PATIENCE = 30
#: Threads at most; who comes when so many are answering is hung up on.
MOST = 200


@dataclass(frozen=True)
class Shelf:
    """What is served: a file, or the files below a folder, to those who know the token.

    Attributes:
        root: the file or folder.
        is_shared: whether others may come by any address or name of this machine, and not by loopback's alone.
    """

    root: Path
    is_shared: bool
    token: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def find(self, path: str) -> Path | None:
        """The file or folder that a request's path means; None where it means nothing of ours."""
        token, *names = [unquote(part) for part in urlsplit(path).path.lstrip("/").split("/")]
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            return None
        names = names[:-1] if names and not names[-1] else names
        # Dots hide files, and lead out; a name with a separator in it is no name.
        if any(not name or name.startswith(".") or re.search(r"[/\\:\0]", name) for name in names):
            return None
        root = self.root.resolve()
        if root.is_file():
            return root if names in ([], [root.name]) else None
        with contextlib.suppress(OSError, ValueError):
            found = root.joinpath(*names).resolve(strict=True)
            hidden = any(part.startswith(".") for part in found.relative_to(root).parts)
            if not hidden and (found.is_file() or found.is_dir()):
                return found
        return None

    def is_ours(self, authority: str) -> bool:
        """Whether a request's Host is an address by which this machine may be called."""
        return calls_us(authority, "0.0.0.0" if self.is_shared else "127.0.0.1")


class Server(ThreadingHTTPServer):
    """Answers for a shelf, on a socket that listens already."""

    daemon_threads = True

    def __init__(self, shelf: Shelf, listener: socket.socket) -> None:
        super().__init__(listener.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.shelf = listener, shelf

    def process_request(self, request: Any, client_address: Any) -> None:
        if threading.active_count() > MOST:
            return self.shutdown_request(request)
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that leaves early, or talks nonsense, is news to nobody."""


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version, server_version, sys_version, timeout = "HTTP/1.1", "Splat", "", PATIENCE

    def do_GET(self) -> None:
        shelf = self.server.shelf
        if not shelf.is_ours(self.headers.get("Host") or ""):
            return self._say(HTTPStatus.MISDIRECTED_REQUEST, "This host name is not one of this server's.\n")
        found, place = shelf.find(self.path), urlsplit(self.path).path
        if found is not None and found.is_dir():
            # Links in a folder's page are from inside of it.
            if not place.endswith("/"):
                return self._say(HTTPStatus.FOUND, "", {"Location": quote(unquote(place)).replace("//", "/") + "/"})
            index = found / "index.html"
            found = index if index.is_file() and not index.is_symlink() else found
        if found is None:
            return self._say(HTTPStatus.NOT_FOUND, "There is nothing here: open the link printed in the terminal.\n")
        if found.is_dir():
            return self._say(HTTPStatus.OK, _listing(found), {"Content-Type": KINDS[".html"]})
        try:
            file = found.open("rb")
        except OSError:
            return self._say(HTTPStatus.NOT_FOUND, "This file cannot be read.\n")
        with file:
            self._send(found, file)

    do_HEAD = do_GET

    def _send(self, path: Path, file: BinaryIO) -> None:
        """A file, or the range of it that is asked for."""
        size = path.stat().st_size
        begin, end, status = 0, size, HTTPStatus.OK
        if asked := re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", self.headers.get("Range") or ""):
            first, last = asked.groups()
            if first:
                begin, end = int(first), min(int(last) + 1, size) if last else size
            elif last:
                begin = max(0, size - int(last))
            if begin >= end:
                return self._say(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "", {"Content-Range": f"bytes */{size}"})
            status = HTTPStatus.PARTIAL_CONTENT if first or last else status
        headers = {"Content-Type": KINDS.get(path.suffix.lower(), "application/octet-stream"), "Accept-Ranges": "bytes"}
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        self._head(status, end - begin, headers)
        if self.command == "HEAD":
            return
        file.seek(begin)
        left = end - begin
        while left and (block := file.read(min(left, 1 << 18))):
            self.wfile.write(block)
            left -= len(block)

    def _say(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self._head(status, len(body), {"Content-Type": KINDS[".txt"]} | (headers or {}))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        headers |= {"Content-Length": str(length), "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        # The address is the secret: no other page may learn it.
        for name, value in (headers | {"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads a log of requests here."""


def _listing(folder: Path) -> str:
    """A page of a folder's files; pages first."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    entries.sort(key=lambda entry: (entry.suffix != ".html", entry.name.lower()))
    names = [entry.name + "/" * entry.is_dir() for entry in entries]
    links = "".join(f'<li><a href="{quote(name)}">{html.escape(name)}</a></li>' for name in names)
    return LISTING.format(title=html.escape(folder.name), links=links)
