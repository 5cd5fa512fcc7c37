"""The gate: viser behind a Host, Origin and token check.

viser by itself answers anyone who can reach its port, and any web page the user visits may open a websocket to
127.0.0.1. So nothing is served, neither page nor websocket, before three questions: is the Host ours (against DNS
rebinding), is the Origin our own page (against other sites), is the token there (against other users). Everything
private to viser that we touch is in this file and checked when a server starts; if the gate could not be put in
place there is no server.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import io
import ipaddress
import json
import logging
import os
import re
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from splat.errors import SplatError
from splat.viewer.address import place_in
from splat.viewer.inject import SCRIPT, STATE, packed_page, script

if TYPE_CHECKING:
    import viser
    from websockets.datastructures import Headers
    from websockets.http11 import Request, Response

DEFAULT_PORT = 8080
#: How many ports after the default one are tried when the user did not ask for a port.
PORTS_TRIED = 50
MAX_PORT = 65535
_OPEN_THE_LINK = "This viewer is private: open the link that was printed in the terminal (it ends in ?token=...).\n"
_FULL = "This viewer is full: as many browsers look at it as it serves. Close one of them, then load this page again.\n"
#: What every answer from inside says: no other page may frame it, learn its address, or give it another base.
_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; object-src 'none'; form-action 'none'",
}
_serving = threading.Lock()


@dataclass(frozen=True)
class Refusal:
    status: HTTPStatus
    reason: str


@dataclass(frozen=True)
class Gate:
    """Decides, from a request's path and headers alone, whether it may pass.

    Attributes:
        host: the address the server is bound to; other than loopback it also admits addresses of this machine.
        token: the secret in the printed link.
        cookie: where a browser keeps the token. Cookies are not bound to a port, so each server has its own name.
    """

    host: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    cookie: str = field(default_factory=lambda: f"splat_token_{secrets.token_hex(4)}")

    def check(self, path: str, headers: Headers | dict[str, str]) -> Refusal | None:
        """None when the request may pass, else how to refuse it."""
        authority = headers.get("Host") or ""
        if not calls_us(authority, self.host):
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST, "This host name is not one of this viewer's.\n")
        bearer = _same(headers.get("Authorization") or "", f"Bearer {self.token}")
        origin = headers.get("Origin")
        # A browser always names its Origin when it opens a websocket; only a program with the token may go without.
        websocket = is_websocket(headers)
        foreign = origin is not None and _split(origin).netloc != authority
        if foreign or (websocket and origin is None and not bearer):
            return Refusal(HTTPStatus.FORBIDDEN, "Another web site may not talk to this viewer.\n")
        if bearer or _same(_cookies(headers).get(self.cookie, ""), self.token) or self.has_link(path):
            return None
        return Refusal(HTTPStatus.UNAUTHORIZED, _OPEN_THE_LINK)

    def has_link(self, path: str) -> bool:
        """Whether the path is that of the printed link; such a request is answered with the cookie."""
        return _same(parse_qs(_split(path).query).get("token", [""])[0], self.token)


def calls_us(authority: str, host: str) -> bool:
    """Whether a request's Host is an address or name of a server that is bound to `host`."""
    name = (_split(f"//{authority}").hostname or "").rstrip(".")
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # A name can be pointed at us by its owner; only the one that we were told to serve is ours.
        return not is_loopback(host) and name in {host.lower(), socket.gethostname().lower()}
    return address.is_loopback or not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a server bound to this host is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_websocket(headers: Headers | dict[str, str]) -> bool:
    return (headers.get("Upgrade") or "").lower() == "websocket"


@dataclass(frozen=True)
class Door:
    """A gate and the socket behind which it stands: made first, so that a port in use is known before work begins."""

    gate: Gate
    listener: socket.socket
    port: int

    @staticmethod
    def open(host: str, port: int | None) -> Door:
        """Begins to listen.

        Args:
            host: address to bind to.
            port: the port to bind to, 0 for any; None takes DEFAULT_PORT or the next free one.

        Raises:
            SplatError: viser is missing or of another version, the host is unknown, the port is taken.
        """
        _import_viser()
        listener = bind(host, port)
        return Door(Gate(host), listener, listener.getsockname()[1])

    def again(self) -> Door:
        """The same door for a server that may end before it: who knocks meanwhile waits for the next."""
        return replace(self, listener=self.listener.dup())

    @property
    def link(self) -> str:
        """The address to open in a browser; it carries the token."""
        host = self.gate.host
        shown = own_address() if host in {"0.0.0.0", "::"} else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/?token={self.gate.token}"


def start_server(door: Door) -> viser.ViserServer:
    """Starts viser behind a door.

    Raises:
        SplatError: viser let nobody be put before its door.
    """
    viser = _import_viser()

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> str | None:
            """viser's button for a public tunnel: never opened, whoever asks."""
            return None

    # A browser may leave at any moment; a message that it misses is no mistake of anybody's.
    warnings.filterwarnings("ignore", message="Queued a .* on a closed connection", category=UserWarning)
    # A message of another shape than viser's is its sender's affair.
    warnings.filterwarnings("ignore", message=r"(?s)\[viser\] .* does not match annotation", category=UserWarning)
    # Whoever knocks with something other than HTTP is turned away; the traceback of that is news to nobody.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    # viser prints a box with a link that lacks the token, and "Server stopped"; ours is the one message.
    with _behind(door) as entered, contextlib.redirect_stdout(io.StringIO()):
        server = Server(host=door.gate.host, port=door.port, verbose=False)
    if not entered:
        stop_server(server)
        raise SplatError(f"The viewer does not know viser {viser.__version__}; run: pip install 'viser>=1.1,<1.2'")
    return server


def stop_server(server: viser.ViserServer) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()


def _import_viser() -> Any:
    try:
        import viser
    except ImportError as error:
        raise SplatError(f"The viewer needs viser ({error}); run: pip install 'splatworks[viewer]'") from error
    known = re.match(r"1\.1\.\d", viser.__version__) is not None
    if not known or not hasattr(viser.ViserServer, "request_share_url"):
        raise SplatError(
            f"The viewer needs viser 1.1, {viser.__version__} is installed; run: pip install 'viser>=1.1,<1.2'"
        )
    return viser


def bind(host: str, port: int | None) -> socket.socket:
    if port is not None and not 0 <= port <= MAX_PORT:
        raise SplatError(f"Port {port} does not exist; choose one from 1024 to {MAX_PORT} with --port")
    wanted = range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED) if port is None else [port]
    for number in wanted:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            return socket.create_server((str(address[0]), number), family=family)
        except socket.gaierror as error:
            raise SplatError(f"The host {host!r} is unknown; use 127.0.0.1 or an address of this machine") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port is not None:
                raise _cannot_bind(host, number, error) from error
    raise SplatError(f"Ports {wanted[0]} to {wanted[-1]} are all in use; choose a free one with --port")


def own_address() -> str:
    """Where other machines find this one: its address on the way out, of which nothing is sent; else its name."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # An address that is nobody's (RFC 5737).
        return probe.getsockname()[0]
    return socket.gethostname()


def _cannot_bind(host: str, port: int, error: OSError) -> SplatError:
    if error.errno == errno.EADDRINUSE:
        return SplatError(
            f"Port {port} is in use, perhaps by another viewer; choose another with --port, or leave --port out "
            "to take the next free one"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SplatError(f"Port {port} may not be used by this user; choose one above 1023 with --port")
    reason = os.strerror(error.errno) if error.errno else error
    return SplatError(f"The viewer cannot listen on {host}, port {port} ({reason}); try --host 127.0.0.1")


def response(status: HTTPStatus, content: str | bytes, kind: str = "text/plain; charset=utf-8") -> Response:
    """What to answer a request with."""
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    body = content.encode() if isinstance(content, str) else content
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"})
    return Response(status.value, status.phrase, headers, body)


def answerer(
    gate: Gate, inside: Callable[[Any, Request], Response | None]
) -> Callable[[Any, Request], Response | None]:
    """How a server of websockets answers requests: the gate's refusals, the cookie for the link, and what is inside."""

    def answer(connection: Any, request: Request) -> Response | None:
        refusal = gate.check(request.path, request.headers)
        if refusal is not None:
            return response(refusal.status, refusal.reason)
        if gate.has_link(request.path) and not is_websocket(request.headers):
            found = response(HTTPStatus.FOUND, "")
            found.headers["Location"] = "/" + place_in(request.path)
            # Lax, not Strict: the link may be clicked in another page (a notebook, a mail).
            found.headers["Set-Cookie"] = f"{gate.cookie}={gate.token}; HttpOnly; SameSite=Lax; Path=/"
            return found
        page, _, query = request.path.partition("?")
        place = place_in(request.path)
        # viser's page obeys its address, and would take its orders from any server that it names.
        if page == "/" and query and "?" + query != place and not is_websocket(request.headers):
            found = response(HTTPStatus.FOUND, "")
            found.headers["Location"] = "/" + place
            return found
        answered = inside(connection, request)
        if answered is not None:
            answered.headers.update(_HEADERS)
        return answered

    return answer


@contextlib.contextmanager
def _behind(door: Door) -> Iterator[list[bool]]:
    """While open, the next server that viser starts listens on our socket and asks our gate first."""
    import websockets.asyncio.server as sockets

    from splat.viewer.guard import MAX_CLIENTS, MAX_MESSAGE, GuardedConnection

    serve, entered, guests = sockets.serve, [], set()

    def gated_serve(handler: Any, host: str, port: int, *args: Any, process_request: Any, **options: Any) -> Any:
        def inside(connection: Any, request: Request) -> Response | None:
            path, full = request.path.partition("?")[0], len(guests) >= MAX_CLIENTS
            if path == SCRIPT:
                return response(HTTPStatus.OK, script(), "text/javascript; charset=utf-8")
            if path == STATE:
                return response(HTTPStatus.OK, json.dumps({"state": "full" if full else "open"}), "application/json")
            if full and (is_websocket(request.headers) or path == "/"):
                return response(HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
            if path == "/":
                request.headers.pop("Accept-Encoding", None)
            answer = process_request(connection, request)
            if answer is not None and path == "/":
                answer = response(HTTPStatus(answer.status_code), packed_page(answer.body), "text/html; charset=utf-8")
                answer.headers["Content-Encoding"] = "gzip"
            return answer

        async def guest(connection: Any) -> None:
            guests.add(connection)
            try:
                await handler(connection)
            finally:
                guests.discard(connection)

        entered.append(True)
        options |= {"max_size": MAX_MESSAGE, "create_connection": GuardedConnection}
        answer = answerer(door.gate, inside)
        return serve(guest, None, None, *args, process_request=answer, sock=door.listener, **options)

    with _serving:
        sockets.serve = gated_serve
        try:
            yield entered
        finally:
            sockets.serve = serve


def _cookies(headers: Headers | dict[str, str]) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in (headers.get("Cookie") or "").split(";"))
    return {name: value for name, separator, value in pairs if separator}


def _split(url: str) -> SplitResult:
    """urlsplit, to which whatever is malformed is empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret.encode())
