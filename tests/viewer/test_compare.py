"""Render and photo on one canvas: nothing stretched, nothing cut, each where it is said to be."""

from __future__ import annotations

import pytest
import torch

from splat.viewer.colormap import palette
from splat.viewer.compare import DIFFERENCE_MAP, LINE, MARGIN, compose, picture_size, resized

RENDER, PHOTO = 50, 200


@pytest.mark.parametrize("width, height", [(960, 540), (390, 844), (500, 500)])
@pytest.mark.parametrize("aspect", [0.56, 1.0, 1.78])
@pytest.mark.parametrize("compare", ["side by side", "wipe"])
def test_all_of_both_is_shown_undistorted(compare, width: int, height: int, aspect: float) -> None:
    w, h = picture_size(compare, width, height, aspect)
    assert abs(w / h - aspect) < 0.02
    canvas = compose(compare, flat(w, h, RENDER), flat(w, h, PHOTO), 0.5, width, height)
    assert canvas.shape == (height, width, 3)
    shown = {value: int((canvas[..., 0] == value).sum()) for value in (RENDER, PHOTO, LINE, MARGIN)}
    assert sum(shown.values()) == width * height
    if compare == "side by side":
        assert shown[RENDER] == shown[PHOTO] == w * h
        # The larger of the two arrangements is taken.
        assert max(w, h) >= 0.49 * min(width, height)
    else:
        assert shown[RENDER] + shown[PHOTO] + shown[LINE] == w * h


def test_a_difference_is_black_where_there_is_none_and_brightest_from_a_tenth_on() -> None:
    render = flat(40, 20, RENDER)
    photo = render.clone()
    photo[:, 20:30] += 20
    photo[:, 30:] += 64
    shown = compose("difference", render, photo, 0.5, 40, 20)
    assert int(shown[:, :20].max()) < 5
    brightness = shown.float().mean((0, 2))
    assert brightness[5] < brightness[25] < brightness[35]
    assert torch.equal(shown[0, 35], (palette(DIFFERENCE_MAP)[-1] * 255).round().byte())
    assert torch.equal(compose("difference", photo, render, 0.5, 40, 20), shown)


def test_the_photo_alone_is_the_photo() -> None:
    canvas = compose("photo", flat(100, 80, RENDER), flat(100, 80, PHOTO), 0.5, 100, 80)
    assert torch.equal(canvas, flat(100, 80, PHOTO))


@pytest.mark.parametrize("wipe, left, right", [(0.25, RENDER, PHOTO), (0.0, PHOTO, PHOTO), (1.0, RENDER, RENDER)])
def test_the_line_parts_render_and_photo(wipe: float, left: int, right: int) -> None:
    canvas = compose("wipe", flat(100, 80, RENDER), flat(100, 80, PHOTO), wipe, 100, 80)
    assert int(canvas[40, 10, 0]) == left and int(canvas[40, 90, 0]) == right


def test_a_photo_made_smaller_keeps_its_mean() -> None:
    photo = torch.randint(0, 256, (200, 300, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    small = resized(photo, 60, 40)
    assert small.shape == (40, 60, 3) and small.dtype == torch.uint8
    assert abs(float(small.float().mean()) - float(photo.float().mean())) < 1
    # Without anti-aliasing noise stays noise.
    assert float(small.float().std()) < 0.4 * float(photo.float().std())


def flat(width: int, height: int, value: int) -> torch.Tensor:
    return torch.full((height, width, 3), value, dtype=torch.uint8)
