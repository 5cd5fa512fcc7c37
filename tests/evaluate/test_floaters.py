"""What floats is told from what does not in a scene where both are known: a wall, and what hangs in front of it."""

from __future__ import annotations

import math

import pytest
import torch

from splat.cameras import Cameras, intrinsics
from splat.evaluate.floaters import CAMERAS, DIRECTIONS, MOVE, floats, score_floaters
from splat.evaluate.floaters import _moved as moved
from splat.gaussians import Gaussians
from splat.render import render

WIDTH, HEIGHT, WALL = 96, 64, 4.0


def blobs(positions: list[tuple[float, float, float]], scale: float, opacity: float) -> Gaussians:
    count = len(positions)
    return Gaussians(
        means=torch.tensor(positions),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(scale)),
        opacity_logits=torch.full((count,), math.log(opacity / (1 - opacity))),
        sh=torch.zeros(count, 1, 3),
    )


def wall() -> Gaussians:
    """Opaque, wider than any view."""
    steps = [0.2 * step for step in range(-25, 26)]
    return blobs([(x, y, WALL) for x in steps for y in steps], 0.12, 0.99)


def cameras(count: int = 5) -> list[Cameras]:
    """In a row, half a unit apart, all looking at the wall."""
    result = []
    for index in range(count):
        viewmat = torch.eye(4)
        viewmat[0, 3] = -0.5 * (index - (count - 1) / 2)
        result.append(Cameras(viewmat[None], intrinsics(WIDTH, HEIGHT, 0.8)[None], WIDTH, HEIGHT))
    return result


#: What hangs, or only seems to, and whether it floats.
THINGS = {
    "fog": (blobs([(0.2, 0.1, 2.0)], 0.1, 0.3), True),
    "solid, where one camera sees it": (blobs([(-1.15, 0.0, 0.4)], 0.03, 0.99), True),
    "solid, where all see it": (blobs([(0.0, 0.0, 2.5)], 0.1, 0.99), False),
    "hidden": (blobs([(0.0, 0.0, 6.0)], 0.1, 0.99), False),
    "on the wall": (blobs([(0.3, 0.3, WALL - 0.1)], 0.1, 0.3), False),
    "where no camera looks": (blobs([(0.0, 0.0, -2.0)], 0.1, 0.99), False),
}


@pytest.mark.parametrize("name", THINGS)
def test_what_floats(name: str) -> None:
    thing, expected = THINGS[name]
    found = floats(Gaussians.concat([wall(), thing]), cameras(), "classic")
    assert not found[:-1].any()
    assert bool(found[-1]) == expected


def test_in_front_of_nothing_a_veil_floats_and_a_solid_thing_does_not() -> None:
    assert floats(blobs([(0.0, 0.0, 2.0)], 0.2, 0.3), cameras(), "classic").all()
    assert not floats(blobs([(0.0, 0.0, 2.0)], 0.2, 0.99), cameras(), "classic").any()


def test_a_clean_scene_has_none() -> None:
    score = score_floaters(wall(), cameras(), 1.0, "classic")
    assert (score.score, score.worst, score.views) == (0, 0, 5 * len(DIRECTIONS))


def test_the_score_is_the_area_that_floaters_cover() -> None:
    """Nothing hangs in front of what is planted, so its weight is its alpha when it is rendered alone."""
    fog = blobs([(0.2, 0.1, 2.0), (-0.4, 0.3, 2.2), (0.5, -0.4, 1.8)], 0.1, 0.4)
    views = [moved(camera, direction, MOVE * 1.2) for camera in cameras() for direction in DIRECTIONS]
    expected = [100 * float(render(fog, view).alpha.mean()) for view in views]
    found = score_floaters(Gaussians.concat([wall(), fog]), cameras(), 1.2, "classic")
    assert found.score == pytest.approx(sum(expected) / len(expected), rel=1e-4)
    assert found.worst == pytest.approx(max(expected), rel=1e-4) and found.score > 0.3


def test_more_floaters_score_worse() -> None:
    places = [(0.3 * index - 0.6, 0.1, 2.0) for index in range(5)]
    scores = [
        score_floaters(Gaussians.concat([wall(), blobs(places[:count], 0.1, 0.3)]), cameras(), 1.0, "classic").score
        for count in range(1, 6)
    ]
    assert scores == sorted(scores) and scores[-1] > 4 * scores[0] > 0


def test_a_camera_is_moved_in_its_own_axes() -> None:
    camera = cameras()[0]
    right, forwards = moved(camera, (1, 0, 0), 0.5), moved(camera, (0, 0, 1), 0.5)
    torch.testing.assert_close(right.positions - camera.positions, torch.tensor([[0.5, 0.0, 0.0]]))
    torch.testing.assert_close(forwards.positions - camera.positions, torch.tensor([[0.0, 0.0, 0.5]]))


def test_many_cameras_are_thinned_out() -> None:
    assert score_floaters(wall(), cameras(40), 0.1, "classic").views == CAMERAS * len(DIRECTIONS)
