"""Lenses that bend: their pixels are OpenCV's, and so is the image of a scene through them."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from splat.cameras import Cameras, pixels
from splat.datasets.lens import Lens
from splat.datasets.undistort import photo_from_straightened, straightened
from splat.gaussians import Gaussians
from splat.lens import lenses
from splat.render import render

WIDTH, HEIGHT = 160, 120
#: OpenCV's coefficients of strongly bent lenses, and COLMAP's name of the model.
BENT = {
    "pinhole": ("FULL_OPENCV", (-0.25, 0.08, 3e-3, -4e-3, 0.01, 0.02, 0.0, 0.0)),
    "fisheye": ("OPENCV_FISHEYE", (0.05, -0.02, 0.006, -0.001)),
}


def lens(model: str) -> Lens:
    return Lens(BENT[model][0], WIDTH, HEIGHT, 100.0, 104.0, 83.0, 58.0, BENT[model][1])


def camera(of: Lens) -> Cameras:
    K = torch.tensor([[of.fx, 0, of.cx], [0, of.fy, of.cy], [0, 0, 1]], dtype=torch.float32)
    return Cameras(torch.eye(4)[None], K[None], of.width, of.height)


def bent(model: str) -> Cameras:
    return replace(camera(lens(model)), model=model, distortion=torch.tensor([BENT[model][1]]))


@pytest.mark.parametrize("model", BENT)
def test_pixels_are_those_of_opencv(model: str) -> None:
    views, generator = bent(model).to(dtype=torch.float64), torch.Generator().manual_seed(0)
    points = torch.randn(500, 3, generator=generator, dtype=torch.float64) * 0.4 + torch.tensor([0, 0, 1.5])
    points[0] = torch.tensor([0.0, 0.0, 2.0])
    K, k, zero = views.Ks[0].numpy(), np.array(BENT[model][1]), np.zeros(3)
    project = cv2.fisheye.projectPoints if model == "fisheye" else cv2.projectPoints
    expected = torch.from_numpy(project(points.numpy()[:, None], zero, zero, K, k)[0][:, 0])
    found = pixels(views, points)
    shown = found.isfinite().all(1)
    assert 450 < shown.sum() and not shown[points[:, 2] <= 0].any()
    torch.testing.assert_close(found[shown], expected[shown], rtol=0, atol=1e-4)  # of coefficients in float32


@pytest.mark.parametrize(
    ("model", "coefficients", "slope"),
    [
        ("pinhole", (-0.3, 0.0, 0.0, 0.0), math.sqrt(1 / 0.9)),  # r - 0.3 r^3
        ("pinhole", (0.1, 0.0, 0.0, 0.0), math.inf),
        ("pinhole", (0.0, 0.0, 0.0, 0.0, 0.0, -0.25, 0.0, 0.0), 2.0),  # the pole of 1 / (1 - r^2 / 4)
        ("pinhole", (-1.0, 0.4, 0.0, 0.0), math.sqrt((3 - 1) / 4)),  # 1 - 3 w + 2 w^2, which grows again from 1 on
        ("fisheye", (0.0, 0.0, 0.0, 0.0), math.inf),
        ("fisheye", (-0.5, 0.0, 0.0, 0.0), math.tan(math.sqrt(2 / 3))),
    ],
)
def test_the_field_ends_where_the_lens_folds_back(model: str, coefficients: tuple[float, ...], slope: float) -> None:
    found = lenses(torch.tensor([coefficients], dtype=torch.float64), model)
    assert found[0, : len(coefficients)].tolist() == list(coefficients) and not found[0, len(coefficients) : 8].any()
    limit = found[0, 8].sqrt().item()
    # To the angle between two of those that are looked at.
    assert limit == slope or math.atan(slope) - math.radians(0.36) < math.atan(limit) <= math.atan(slope)


def test_an_image_through_a_lens_is_the_straight_one_bent() -> None:
    """To 0.01 of 1 on average, when straightened as photos are. What is left is the filter of 0.3 px^2, which is of the
    pixels of one image or of the other."""
    generator = torch.Generator().manual_seed(1)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    count = 600
    scene = Gaussians(
        torch.cat([uniform(-2.5, 2.5, count, 2), uniform(2.0, 4.0, count, 1)], dim=1),
        torch.randn(count, 4, generator=generator),
        uniform(0.06, 0.2, count, 3).log(),
        uniform(-1, 3, count),
        uniform(-1.5, 1.5, count, 1, 3),
    )
    for model in BENT:
        seen = render(scene, bent(model)).rgb[0].numpy()
        straight = render(scene, camera(straightened(lens(model)))).rgb[0].numpy()
        where = photo_from_straightened(lens(model))
        warped = cv2.remap(seen, where, None, cv2.INTER_CUBIC)  # pyright: ignore[reportCallIssue, reportArgumentType]
        inside = (slice(2, -2), slice(2, -2))
        unbent = render(scene, replace(bent(model), distortion=None)).rgb[0].numpy()
        error = np.abs(warped - straight)[inside]
        assert error.mean() < 0.01 and np.quantile(error, 0.99) < 0.04
        assert np.abs(unbent - seen).mean() > 0.015


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_unscented_and_ewa_nearly_agree_without_distortion(model: str) -> None:
    views = replace(bent(model), distortion=None)
    generator = torch.Generator().manual_seed(2)
    means = torch.randn(300, 3, generator=generator) * 0.6 + torch.tensor([0.0, 0.0, 3.0])
    quats, sh = torch.randn(300, 4, generator=generator), torch.randn(300, 1, 3, generator=generator)
    scene = Gaussians(means, quats, torch.full((300, 3), -3.5), torch.ones(300), sh)
    ewa, unscented = (render(scene, views, projection=mode).rgb for mode in ("ewa", "unscented"))
    assert (ewa - unscented).abs().max() < 0.01 and not torch.equal(ewa, unscented)
    assert torch.equal(render(scene, views).rgb, ewa)


def test_mistakes_are_named() -> None:
    views = bent("pinhole")
    scene = Gaussians(torch.zeros(1, 3), torch.ones(1, 4), torch.zeros(1, 3), torch.zeros(1), torch.zeros(1, 1, 3))
    with pytest.raises(ValueError, match="'ewa' has no lenses that bend; use 'unscented'"):
        render(scene, views, projection="ewa")
    with pytest.raises(ValueError, match="'unscented' has no ortho cameras"):
        render(scene, replace(views, model="ortho", distortion=None), projection="unscented")
    with pytest.raises(ValueError, match="projection must be one of auto, ewa, unscented, got '3dgut'"):
        render(scene, views, projection="3dgut")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="a camera of the model ortho has no distortion"):
        replace(views, model="ortho")
    with pytest.raises(ValueError, match="distortion of a pinhole camera must be 4 or 5 or 8 coefficients, got 6"):
        replace(views, distortion=torch.zeros(1, 6))
    with pytest.raises(ValueError, match="distortion of a fisheye camera must be 4 coefficients, got 8"):
        replace(views, model="fisheye")
    with pytest.raises(ValueError, match="holds a number that is not finite"):
        replace(views, distortion=torch.full((1, 4), math.nan))
    with pytest.raises(ValueError, match=r"distortion must be \[1, D\], got \[2, 4\]"):
        replace(views, distortion=torch.zeros(2, 4))
