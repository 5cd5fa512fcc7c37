"""Lenses and straightening: every camera model against COLMAP's own projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splat.datasets.frames import Frame, cube
from splat.datasets.lens import BY_NAME, MODELS, Lens
from splat.datasets.undistort import MAX_SLOPE, photo_from_straightened, straightened
from splat.errors import SplatError

#: Coefficients of real size, none of them zero, for each model.
COEFFICIENTS = {
    "SIMPLE_RADIAL": (-0.16,),
    "RADIAL": (-0.12, 0.03),
    "OPENCV": (0.06, -0.08, -0.001, 0.0002),
    "OPENCV_FISHEYE": (0.03, -0.01, 0.004, -0.001),
    "FULL_OPENCV": (-0.3, 0.1, 0.001, -0.002, -0.01, 0.02, 0.05, -0.01),
    "FOV": (0.8,),
    "SIMPLE_RADIAL_FISHEYE": (0.05,),
    "RADIAL_FISHEYE": (0.05, -0.02),
    "THIN_PRISM_FISHEYE": (0.03, -0.01, 0.001, -0.0005, 0.004, -0.001, 0.0005, -0.0003),
    "RAD_TAN_THIN_PRISM_FISHEYE": (0.03, -0.01, 0.004, -0.001, 0.0003, 1e-4, 4e-4, -3e-4, 1e-4, 2e-4, -1e-4, 5e-5),
    "SIMPLE_DIVISION": (-0.1,),
    "DIVISION": (-0.2,),
    "EUCM": (0.6, 1.1),
}
WIDTH, HEIGHT = 640, 480
EVERY = [model.name for model in MODELS]
BENT = [name for name in EVERY if name not in ("SIMPLE_PINHOLE", "PINHOLE", "EQUIRECTANGULAR")]


def parameters(name: str) -> tuple[float, ...]:
    model = BY_NAME[name]
    if model.bend is None:
        return (WIDTH, HEIGHT)
    focal = {0: (), 1: (420.0,), 2: (420.0, 431.0)}[model.focals]
    return (*focal, 311.5, 246.25, *COEFFICIENTS.get(name, ()))


def lens(name: str) -> Lens:
    return Lens.from_colmap(BY_NAME[name], WIDTH, HEIGHT, parameters(name))


def colmap_camera(name: str):
    pycolmap = pytest.importorskip("pycolmap")
    return pycolmap.Camera(model=name, width=WIDTH, height=HEIGHT, params=parameters(name), camera_id=1)


def test_the_table_is_colmap_s() -> None:
    pycolmap = pytest.importorskip("pycolmap")
    known = {name: int(value) for name, value in pycolmap.CameraModelId.__members__.items() if int(value) >= 0}
    assert known == {model.name: number for number, model in enumerate(MODELS)}
    for model in MODELS:
        camera = pycolmap.Camera.create_from_model_name(1, model.name, 100.0, WIDTH, HEIGHT)
        assert len(camera.params) == model.parameters, model.name


@pytest.mark.parametrize("name", EVERY)
def test_projects_where_colmap_projects(name: str) -> None:
    random = np.random.default_rng(0)
    rays = np.concatenate([random.uniform(-0.9, 0.9, (500, 2)), np.zeros((1, 2)), random.normal(0, 1e-7, (20, 2))])
    x, y = lens(name).project(rays[:, 0], rays[:, 1])
    expected = colmap_camera(name).img_from_cam(np.concatenate([rays, np.ones((len(rays), 1))], 1))
    np.testing.assert_allclose(np.stack([x, y], -1), np.array(expected, np.float64), atol=1e-7)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "EQUIRECTANGULAR"])
def test_resizing_scales_each_axis_by_its_own_ratio(name: str) -> None:
    u, v = np.array([0.3, -0.2]), np.array([0.1, 0.25])
    x, y = lens(name).project(u, v)
    small_x, small_y = lens(name).resized(160, 119).project(u, v)
    np.testing.assert_allclose(small_x, x * 160 / WIDTH)
    np.testing.assert_allclose(small_y, y * 119 / HEIGHT)


@pytest.mark.parametrize("name", BENT)
def test_every_straightened_pixel_is_where_colmap_sees_it(name: str) -> None:
    where, camera = photo_from_straightened(lens(name)), straightened(lens(name))
    assert where.shape == (camera.height, camera.width, 2)
    rows, columns = np.mgrid[0 : camera.height : 17, 0 : camera.width : 13]
    rays = np.stack([(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy], -1).reshape(-1, 2)
    expected = colmap_camera(name).img_from_cam(np.concatenate([rays, np.ones((len(rays), 1))], 1))
    np.testing.assert_allclose(where[::17, ::13].reshape(-1, 2) + 0.5, np.array(expected), atol=1e-3)


@pytest.mark.parametrize("name", BENT)
def test_only_valid_pixels_and_as_many_as_fit(name: str) -> None:
    where, camera = photo_from_straightened(lens(name)) + 0.5, straightened(lens(name))
    assert where.min() >= 0
    assert where[..., 0].max() <= WIDTH
    assert where[..., 1].max() <= HEIGHT
    # Some pixel of the rectangle is at the photo's border, or the view is as wide as it may be.
    gaps = [where.min(), WIDTH - where[..., 0].max(), HEIGHT - where[..., 1].max()]
    slopes = [camera.cx / camera.fx, camera.cy / camera.fy, (camera.width - camera.cx) / camera.fx]
    assert min(gaps) < 2 or max(slopes) > 0.98 * MAX_SLOPE
    assert camera.width * camera.height > 0.6 * WIDTH * HEIGHT


def test_a_pinhole_stays_as_it_is() -> None:
    for name in ("SIMPLE_PINHOLE", "PINHOLE"):
        assert lens(name).is_pinhole
        assert straightened(lens(name)) == lens(name)
    straight = Lens("OPENCV", WIDTH, HEIGHT, 400, 400, 320, 240, (0.0, 0.0, 0.0, 0.0))
    assert straight.is_pinhole
    assert straightened(straight) == straight


def test_a_lens_that_folds_back_is_cut_at_the_fold() -> None:
    """Strong barrel distortion moves pixels back to the centre far out; nothing from beyond may be used."""
    folding = Lens("SIMPLE_RADIAL", WIDTH, HEIGHT, 300, 300, 320, 240, (-0.5,))
    fold = np.sqrt(1 / 1.5)  # d(r - r^3 / 2) / dr = 0
    camera = straightened(folding)
    corner = np.hypot(camera.cx / camera.fx, camera.cy / camera.fy)
    assert 0.5 * fold < corner < 1.01 * fold  # It is found to within a step of the search.


def test_a_fisheye_of_more_than_half_a_sphere_stays_bounded() -> None:
    wide = Lens("OPENCV_FISHEYE", 1000, 1000, 280, 280, 500, 500, (0.0, 0.0, 0.0, 0.0))
    camera = straightened(wide)
    assert camera.width == camera.height == int(2 * 280 * MAX_SLOPE)


def test_a_principal_point_outside_the_photo_is_told() -> None:
    with pytest.raises(SplatError, match="shows nothing along its axis"):
        straightened(Lens("SIMPLE_RADIAL", WIDTH, HEIGHT, 400, 400, -50, 240, (0.1,)))


def test_the_faces_of_a_panorama_cover_the_sphere() -> None:
    """Each face's pixels, back in the panorama's own axes, are where COLMAP's panorama sees them."""
    frame = Frame("a/pano.jpg", Path("pano.jpg"), lens("EQUIRECTANGULAR"), np.eye(4))
    camera = colmap_camera("EQUIRECTANGULAR")
    covered = np.zeros((HEIGHT, WIDTH), bool)
    for face in cube(frame):
        view, where = straightened(face.lens), photo_from_straightened(face.lens)
        assert view.width == view.height == WIDTH // np.pi
        rows, columns = np.mgrid[3 : view.height : 9, 3 : view.width : 9]
        rays = np.stack(
            [(columns + 0.5 - view.cx) / view.fx, (rows + 0.5 - view.cy) / view.fy, np.ones(rows.shape)], -1
        )
        world = rays.reshape(-1, 3) @ face.cam_from_world[:3, :3]
        np.testing.assert_allclose(where[3::9, 3::9].reshape(-1, 2) + 0.5, camera.img_from_cam(world), atol=1e-3)
        pixels = np.clip(where.reshape(-1, 2).round().astype(int), 0, [WIDTH - 1, HEIGHT - 1])
        covered[pixels[:, 1], pixels[:, 0]] = True
    # No patch is left out; next to the poles, where a panorama says everything many times, patches shrink to nothing.
    assert covered[48:-48].reshape(-1, 8, WIDTH // 8, 8).any((1, 3)).all()
    assert covered.reshape(-1, 8, WIDTH).any((1, 2)).all()
