"""The gate: who gets in, decided on headers alone, and asked of a running server."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from splat.errors import SplatError
from splat.viewer.gate import DEFAULT_PORT, PORTS_TRIED, Door, Gate, is_loopback, start_server, stop_server

OURS = "127.0.0.1:8080"
GATE = Gate("127.0.0.1", token="secret", cookie="ours")
WITH_COOKIE = {"Host": OURS, "Cookie": "other=1; ours=secret"}
WEBSOCKET = {**WITH_COOKIE, "Upgrade": "websocket"}


def status(headers: dict[str, str], path: str = "/", gate: Gate = GATE) -> HTTPStatus | None:
    refusal = gate.check(path, headers)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize(
    "headers, path",
    [
        (WITH_COOKIE, "/"),
        ({"Host": OURS, "Authorization": "Bearer secret"}, "/"),
        ({"Host": OURS}, "/?token=secret"),
        ({**WITH_COOKIE, "Host": "localhost:9000"}, "/"),
        ({**WITH_COOKIE, "Host": "[::1]:8080"}, "/"),
        ({**WEBSOCKET, "Origin": f"http://{OURS}"}, "/"),
        ({"Host": OURS, "Upgrade": "websocket", "Authorization": "Bearer secret"}, "/"),
    ],
)
def test_lets_in(headers: dict[str, str], path: str) -> None:
    assert status(headers, path) is None


@pytest.mark.parametrize(
    "headers, path",
    [
        ({"Host": OURS}, "/"),
        ({"Host": OURS}, "/?token=wrong"),
        ({"Host": OURS}, "/?token="),
        ({"Host": OURS, "Cookie": "ours=wrong"}, "/"),
        ({"Host": OURS, "Cookie": "theirs=secret"}, "/"),
        ({"Host": OURS, "Authorization": "Basic secret"}, "/"),
        ({"Host": OURS, "Cookie": "ours=\udcff"}, "/"),
        ({"Host": OURS, "Origin": f"http://{OURS}", "Upgrade": "websocket"}, "/"),
    ],
)
def test_asks_for_the_token(headers: dict[str, str], path: str) -> None:
    assert status(headers, path) is HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    "host", ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", "[", "8.8.8.8"]
)
def test_refuses_hosts_that_are_not_ours(host: str) -> None:
    assert status({**WITH_COOKIE, "Host": host}) is HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:9999", "null", "http://[", f"http://{OURS}@evil.example"]
)
def test_refuses_other_sites_even_with_the_cookie(origin: str) -> None:
    assert status({**WEBSOCKET, "Origin": origin}) is HTTPStatus.FORBIDDEN
    assert status({**WITH_COOKIE, "Origin": origin}) is HTTPStatus.FORBIDDEN


def test_a_websocket_without_origin_needs_the_bearer_token() -> None:
    assert status(WEBSOCKET) is HTTPStatus.FORBIDDEN


def test_every_gate_has_its_own_secret() -> None:
    first, second = Gate("127.0.0.1"), Gate("127.0.0.1")
    assert first.token != second.token and first.cookie != second.cookie and len(first.token) >= 32


def test_on_the_network_its_addresses_and_name_are_ours_but_no_other_name() -> None:
    gate = Gate("0.0.0.0", token="secret", cookie="ours")
    assert status({**WITH_COOKIE, "Host": "192.168.1.7:8080"}, gate=gate) is None
    assert status({**WITH_COOKIE, "Host": f"{socket.gethostname()}:8080"}, gate=gate) is None
    assert status({**WITH_COOKIE, "Host": "evil.example:8080"}, gate=gate) is HTTPStatus.MISDIRECTED_REQUEST
    assert status({"Host": "192.168.1.7:8080"}, gate=gate) is HTTPStatus.UNAUTHORIZED


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "a.example")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    opened = Door.open("127.0.0.1", 0)
    running = start_server(opened)
    yield opened
    stop_server(running)


def get(port: int, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def body(port: int, path: str, **headers: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    content = connection.getresponse().read()
    connection.close()
    return content


def test_a_server_asks_its_gate(door: Door) -> None:
    port, gate = door.port, door.gate
    assert get(port).status == 401
    assert get(port, Host="evil.example").status == 421
    assert get(port, Authorization=f"Bearer {gate.token}", Origin="http://evil.example").status == 403
    assert get(port, Authorization=f"Bearer {gate.token}").status == 200


def test_the_page_has_our_script_and_only_who_may_see_it_gets_it(door: Door) -> None:
    bearer = {"Authorization": f"Bearer {door.gate.token}"}
    assert get(door.port, "/splat/page.js").status == 401 and get(door.port, "/splat/state").status == 401
    served = get(door.port, "/splat/page.js", **bearer)
    assert served.status == 200 and served.headers["Content-Type"].startswith("text/javascript")
    assert b'<head><script src="/splat/page.js">' in gzip.decompress(body(door.port, "/", **bearer))
    assert json.loads(body(door.port, "/splat/state", **bearer)) == {"state": "open"}


@pytest.mark.parametrize(
    "path", ["/../../gate.py", "/%2e%2e/%2e%2e/_viser.py", "/..%5c..%5cgate.py", "//etc/passwd", "/assets"]
)
def test_no_other_file_is_served(door: Door, path: str) -> None:
    assert get(door.port, path, Authorization=f"Bearer {door.gate.token}").status == 404


def test_the_link_is_traded_for_a_cookie(door: Door) -> None:
    port = door.port
    first = get(port, door.link.removeprefix(f"http://127.0.0.1:{port}"))
    assert (first.status, first.headers["Location"]) == (302, "/")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    page = get(port, Cookie=cookie.split(";")[0])
    assert page.status == 200 and page.headers["X-Frame-Options"] == "DENY"


def test_a_page_is_opened_at_a_place_and_obeys_no_other_word_of_its_address(door: Door) -> None:
    place = "?initialCameraPosition=1,2,3&initialCameraFov=0.8"
    first = get(door.port, f"/{place}&token={door.gate.token}&websocket=ws://evil.example")
    assert (first.status, first.headers["Location"]) == (302, f"/{place}")
    bearer = {"Authorization": f"Bearer {door.gate.token}"}
    assert get(door.port, f"/{place}", **bearer).status == 200
    for words in ("websocket=ws://evil.example", "playbackPath=//evil.example/a.viser"):
        answer = get(door.port, f"/{place}&{words}", **bearer)
        assert (answer.status, answer.headers["Location"]) == (302, f"/{place}")
        assert get(door.port, f"/?{words}", **bearer).headers["Location"] == "/"


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}])
def test_the_websocket_is_gated_too(door: Door, headers: dict[str, str]) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert get(door.port, **upgrade, **headers).status == 403
    # Even the link's token does not open it: that is the page's business.
    origin = {"Origin": f"http://127.0.0.1:{door.port}"}
    assert get(door.port, **upgrade, **origin).status == 401


def test_a_port_in_use_is_said(door: Door) -> None:
    with pytest.raises(SplatError, match=f"Port {door.port} is in use.*--port"):
        Door.open("127.0.0.1", door.port)


def test_without_a_wish_the_next_free_port_is_taken() -> None:
    with socket.socket() as taken:
        # On a machine where somebody else has it, it is taken as well.
        if taken.connect_ex(("127.0.0.1", DEFAULT_PORT)) != 0:
            taken.close()
            taken = socket.create_server(("127.0.0.1", DEFAULT_PORT))
        opened = Door.open("127.0.0.1", None)
        assert DEFAULT_PORT < opened.port < DEFAULT_PORT + PORTS_TRIED
        opened.listener.close()
        taken.close()


@pytest.mark.parametrize(
    "host, port, said", [("127.0.0.1", 70_000, "does not exist"), ("no-such-host.invalid", None, "is unknown")]
)
def test_impossible_addresses_are_said(host: str, port: int | None, said: str) -> None:
    with pytest.raises(SplatError, match=said):
        Door.open(host, port)
