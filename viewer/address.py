"""A place to look from, in the address of the page: viser's page reads it, and opens there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np

from splat.viewer.camera import Stand

if TYPE_CHECKING:
    import viser

POSITION, LOOK_AT, UP, FOV = "initialCameraPosition", "initialCameraLookAt", "initialCameraUp", "initialCameraFov"
#: The field of view of viser's page, radians, until somebody sets another.
PAGE_FOV = math.radians(75)


def address(link: str, stand: Stand, fov: float, *, with_token: bool) -> str:
    """The address of this view.

    Args:
        link: of the viewer, with its token.
        stand, fov: where the browser's camera is, view space; radians.
        with_token: whether it lets in who has never opened `link`.
    """
    parts = urlsplit(link)
    # Only a page whose field of view is its own is at nobody's place.
    fov = fov if abs(fov - PAGE_FOV) > 2e-4 else PAGE_FOV + 3e-4
    vectors = {POSITION: stand.position, LOOK_AT: stand.look_at, UP: stand.up}
    place = {name: ",".join(f"{value:.4f}" for value in vector) for name, vector in vectors.items()}
    query = [*(parse_qsl(parts.query) if with_token else []), *place.items(), (FOV, f"{fov:.4f}")]
    return parts._replace(query=urlencode(query, safe=",")).geturl()


def place_in(path: str) -> str:
    """What of a request's path says where to look from, as a query with its question mark; empty if nothing does."""
    try:
        given = parse_qsl(urlsplit(path).query)
    except ValueError:
        return ""
    place = [(name, value) for name, value in given if name in (POSITION, LOOK_AT, UP, FOV) and _is_numbers(value)]
    return "?" + urlencode(place, safe=",") if place else ""


def has_place(camera: viser.CameraHandle) -> bool:
    """Whether a page that has just connected is somewhere already: by its address, or from before the server was
    gone."""
    return not math.isclose(camera.fov, PAGE_FOV, abs_tol=1e-4)


def _is_numbers(text: str) -> bool:
    try:
        return bool(np.isfinite([float(part) for part in text.split(",")]).all())
    except ValueError:
        return False
