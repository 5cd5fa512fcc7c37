"""Render modes: what each says of a scene that is known."""

from __future__ import annotations

import math

import pytest
import torch
from made_up import circle_of_cameras, made_up_scene

from splat.cameras import Cameras, intrinsics
from splat.gaussians import SH_C0, Gaussians
from splat.render import render
from splat.viewer.colormap import coloured, key, palette
from splat.viewer.modes import COUNT_MAP, DEPTH_MAP, DRAWERS, Drawing, Look, counts, draw, normals

WIDTH, HEIGHT = 96, 64
FOCAL = 0.5 * HEIGHT / math.tan(0.4)
FLAT = (0.2, 0.2, 0.002)


def camera() -> Cameras:
    """At the origin, looking along +z."""
    return Cameras(torch.eye(4)[None], intrinsics(WIDTH, HEIGHT, 0.8)[None], WIDTH, HEIGHT)


def gaussians(*means: tuple[float, float, float], scales=(0.1, 0.1, 0.1), quat=(1.0, 0.0, 0.0, 0.0)) -> Gaussians:
    """Opaque and red."""
    count = len(means)
    sh = torch.zeros(count, 4, 3)
    sh[:, 0] = (torch.tensor([1.0, 0.2, 0.2]) - 0.5) / SH_C0
    return Gaussians(
        means=torch.tensor(means),
        quats=torch.tensor(quat).expand(count, 4).contiguous(),
        log_scales=torch.tensor(scales).log().expand(count, 3).contiguous(),
        opacity_logits=torch.full((count,), 5.0),
        sh=sh,
    )


def look(mode, **changes) -> Look:
    return Look(mode, (0.0, 0.0, 0.0), "classic", 0.01)._replace(**changes)


def at(drawing: Drawing, x: float, y: float, z: float) -> torch.Tensor:
    """[3] the pixel where a place is seen."""
    return drawing.image[int(HEIGHT / 2 + FOCAL * y / z), int(WIDTH / 2 + FOCAL * x / z)].float() / 255


def test_every_mode_draws_every_scene() -> None:
    nothing = made_up_scene().select(torch.zeros(60, dtype=torch.bool))
    for mode in DRAWERS:
        drawing = draw(made_up_scene(), circle_of_cameras()[0], look(mode))
        assert drawing.image.shape == (48, 64, 3) and drawing.drawn == 60
        assert float(drawing.image.float().std()) > 10
        empty = draw(nothing, camera(), look(mode))
        assert empty.drawn == 0 and int((empty.image > 5).sum()) == 0


def test_depth_is_told_by_colour_near_to_far() -> None:
    places = [(-0.5, 0.0, 2.0), (0.0, 0.0, 3.0), (0.8, 0.0, 4.0)]
    drawing = draw(gaussians(*places), camera(), look("depth"))
    near, middle, far = (at(drawing, *place) for place in places)
    assert torch.allclose(near, palette(DEPTH_MAP)[-1], atol=0.01)
    assert torch.allclose(far, palette(DEPTH_MAP)[0], atol=0.01)
    # By inverse depth: 1/3 is a third of the way from 1/4 to 1/2.
    assert torch.allclose(middle, palette(DEPTH_MAP)[85], atol=0.02)
    assert drawing.ends == pytest.approx((4.0, 2.0), rel=1e-3)
    assert at(drawing, 0.3, 0.5, 2.0).sum() == 0


def test_alpha_is_grey_whatever_the_colours_are() -> None:
    drawing = draw(gaussians((0.0, 0.0, 2.0)), camera(), look("alpha", background=(0.0, 1.0, 0.0)))
    assert at(drawing, 0.0, 0.0, 2.0).tolist() == pytest.approx([0.99] * 3, abs=0.02)
    assert at(drawing, 0.6, 0.5, 2.0).sum() == 0


def test_the_normal_of_a_flat_gaussian_faces_the_camera() -> None:
    """Its quaternion turns it about the axis that points right, so that the camera sees it from above."""
    facing = draw(gaussians((0.0, 0.0, 2.0), scales=FLAT), camera(), look("normals"))
    assert at(facing, 0.0, 0.0, 2.0).tolist() == pytest.approx([0.5, 0.5, 1.0], abs=0.02)
    for angle in (0.6, 0.6 + math.pi):
        quat = (math.cos(angle / 2), math.sin(angle / 2), 0.0, 0.0)
        tilted = gaussians((0.0, 0.0, 2.0), scales=FLAT, quat=quat)
        assert normals(tilted, camera())[0].tolist() == pytest.approx([0, -math.sin(0.6), math.cos(0.6)], abs=1e-5)


def test_counts_are_of_all_that_lie_behind_each_other() -> None:
    stack = gaussians((0.0, 0.0, 2.0), (0.0, 0.0, 3.0), (0.0, 0.0, 4.0), (0.6, 0.0, 2.0), scales=(0.05,) * 3)
    count = counts(render(stack, camera()), WIDTH, HEIGHT)
    assert count.shape == (HEIGHT, WIDTH)
    row = HEIGHT // 2
    assert count[row, WIDTH // 2] == 3 and count[row, int(WIDTH / 2 + 0.3 * FOCAL)] == 1 and count[0, 0] == 0
    drawing = draw(stack, camera(), look("count"))
    assert drawing.ends == (0.0, 3.0)
    assert torch.allclose(at(drawing, 0.6, 0.0, 2.0), palette(COUNT_MAP)[85], atol=0.01)


def test_an_ellipsoid_has_an_edge_and_is_brightest_where_it_faces_the_camera() -> None:
    ball = gaussians((0.0, 0.0, 2.0), scales=(0.2,) * 3)
    solid, soft = (draw(ball, camera(), look(mode)).image[HEIGHT // 2, :, 0] for mode in ("ellipsoids", "colour"))
    # From the edge at 1.5 standard deviations to the background in two pixels.
    edge = round(WIDTH / 2 + 1.5 * 0.2 * FOCAL / 2)
    assert solid[edge - 2] > 80 and solid[edge + 2] < 5 < soft[edge + 2]
    assert solid[WIDTH // 2] > 250 and 80 < solid[edge - 2] < 200
    faint = gaussians((0.0, 0.0, 2.0))
    faint.opacity_logits[:] = -4.0
    assert draw(faint, camera(), look("ellipsoids")).drawn == 0


def test_points_are_small_however_large_the_gaussians_are() -> None:
    places = (-0.5, 0.0, 2.0), (0.5, 0.0, 4.0)
    drawing = draw(gaussians(*places, scales=(0.5,) * 3), camera(), look("points"))
    bright = drawing.image[..., 0] > 127
    assert 4 <= int(bright.sum()) <= 2 * 6
    for x, y, z in places:
        assert at(drawing, x, y, z)[0] > 0.4
    unseen = gaussians((0.0, 0.0, 2.0))
    unseen.opacity_logits[:] = -7.0
    assert draw(unseen, camera(), look("points")).drawn == 0


def test_size_and_sh_degree_change_what_is_drawn() -> None:
    ball = gaussians((0.0, 0.0, 2.0))
    ball.sh[:, 2] = 0.5
    plain, small = (draw(ball, camera(), look("colour", size=size)).image for size in (1.0, 0.5))
    ratio = float(small.float().sum() / plain.float().sum())
    assert ratio == pytest.approx(0.25, abs=0.03)
    constant = at(draw(ball, camera(), look("colour", sh_degree=0)), 0.0, 0.0, 2.0)
    assert constant.tolist() == pytest.approx([0.99, 0.2, 0.2], abs=0.02)
    assert not torch.allclose(constant, at(draw(ball, camera(), look("colour")), 0.0, 0.0, 2.0), atol=0.1)


def test_a_map_goes_from_its_first_colour_to_its_last() -> None:
    colours = coloured(torch.tensor([[-1.0, 0.0], [1.0, 7.0]]), "viridis")
    assert torch.equal(colours[:, 0], palette("viridis")[[0, 255]])
    assert torch.equal(colours[0, 0], colours[0, 1]) and torch.equal(colours[1, 0], colours[1, 1])
    assert "rgb(68 1 84)" in key("viridis", "far", "near") and ">near<" in key("viridis", "far", "near")
