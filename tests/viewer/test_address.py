"""A link that leads to a view carries the place and nothing else, unless it is asked to."""

from __future__ import annotations

import math
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from splat.viewer.address import FOV, LOOK_AT, PAGE_FOV, POSITION, UP, address, has_place, place_in
from splat.viewer.camera import Stand

LINK = "http://127.0.0.1:8080/?token=s-3_cret"
STAND = Stand(np.array([1.0, -2.5, 1 / 3]), np.array([0.0, 1e-9, 0.25]), np.array([0.0, 0.0, 1.0]))


def query(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(link).query)


def test_it_says_where_the_camera_is() -> None:
    link = address(LINK, STAND, 0.8, with_token=False)
    assert link.startswith("http://127.0.0.1:8080/?initialCamera") and "cret" not in link
    assert query(link) == {
        POSITION: ["1.0000,-2.5000,0.3333"],
        LOOK_AT: ["0.0000,0.0000,0.2500"],
        UP: ["0.0000,0.0000,1.0000"],
        FOV: ["0.8000"],
    }
    assert query(address(LINK, STAND, 0.8, with_token=True))["token"] == ["s-3_cret"]


def test_a_page_knows_whether_it_came_with_a_place() -> None:
    for fov in (0.3, 0.8, PAGE_FOV - 1e-5, PAGE_FOV, PAGE_FOV + 1e-5, 2.0):
        carried = float(query(address(LINK, STAND, fov, with_token=False))[FOV][0])
        assert math.isclose(carried, fov, abs_tol=5e-4)
        assert has_place(SimpleNamespace(fov=carried))  # pyright: ignore[reportArgumentType]
    # In the page the angle passes through degrees and a focal length in single precision.
    assert not has_place(SimpleNamespace(fov=PAGE_FOV + 1e-6))  # pyright: ignore[reportArgumentType]


def test_the_gate_hands_on_the_place_and_nothing_else() -> None:
    link = address(LINK, STAND, 0.8, with_token=True)
    place = place_in(link.removeprefix("http://127.0.0.1:8080"))
    assert "/" + place == address(LINK, STAND, 0.8, with_token=False).removeprefix("http://127.0.0.1:8080")
    assert place_in("/" + place) == place


@pytest.mark.parametrize(
    "path",
    ["/", "/?", "/?websocket=ws://evil.example", f"/?{FOV}=<script>", f"/?{POSITION}=nan,0,0", f"/?{UP}=", "//[?a=b"],
)
def test_what_is_no_place_is_dropped(path: str) -> None:
    assert place_in(path) == ""
