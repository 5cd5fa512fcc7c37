"""From a photo file to the image that is trained on: formats, orientation, masks, transparency, resizing."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captures import gradient
from PIL import Image, ImageOps

from splat.datasets.images import Header, find_photos, is_whole, read_header, read_photo
from splat.datasets.lens import Lens
from splat.datasets.photo import Photo, camera, fit, load
from splat.datasets.undistort import straightened
from splat.errors import SplatError

WIDTH, HEIGHT = 32, 24
PINHOLE = Lens("PINHOLE", WIDTH, HEIGHT, 30.0, 31.0, 15.0, 13.0)


def save(path: Path, pixels: np.ndarray, orientation: int = 1, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (image.convert(mode) if mode else image).save(path, exif=exif, **options)
    return path


def test_modes_become_8_bit_colour(tmp_path: Path) -> None:
    pixels = gradient(WIDTH, HEIGHT)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    cases = {
        "rgb.png": (save(tmp_path / "rgb.png", pixels), pixels),
        "grey.png": (save(tmp_path / "grey.png", grey), np.repeat(grey[..., None], 3, -1)),
        "lossless.webp": (save(tmp_path / "lossless.webp", pixels, lossless=True), pixels),
        "tiff.tif": (save(tmp_path / "tiff.tif", pixels), pixels),
    }
    for name, (path, expected) in cases.items():
        assert np.array_equal(read_photo(path, upright=False), expected), name
        assert read_header(path) == (WIDTH, HEIGHT, 1), name


def test_lossy_formats_stay_close(tmp_path: Path) -> None:
    pixels = np.stack([gradient(WIDTH, HEIGHT)[..., 0]] * 3, -1)
    for name in ("a.jpg", "b.webp", "c.JPEG"):
        got = read_photo(save(tmp_path / name, pixels, quality=95), upright=False)
        assert abs(got.astype(int) - pixels).max() < 8, name
    cmyk = read_photo(save(tmp_path / "cmyk.jpg", pixels, mode="CMYK", quality=95), upright=False)
    assert cmyk.shape == pixels.shape
    assert abs(cmyk.astype(int) - pixels).mean() < 8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "grey16.png")
    got = read_photo(tmp_path / "grey16.png", upright=False)
    assert np.array_equal(got[..., 1], (wide / 257 + 0.5).astype(np.uint8))
    import cv2

    colour = np.stack([wide, wide // 2, wide // 4], -1)
    cv2.imwrite(str(tmp_path / "rgb16.png"), colour[..., ::-1])
    got = read_photo(tmp_path / "rgb16.png", upright=False)
    assert abs(got.astype(int) - colour // 257).max() <= 1


def test_heic_where_the_library_is_there(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    pixels = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.heic", quality=90)
    assert read_header(tmp_path / "a.heic") == (96, 64, 1)
    assert abs(read_photo(tmp_path / "a.heic", upright=False).astype(int) - pixels).max() < 8


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_what_is_no_photo(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(SplatError, match=r"a\.jpg"):
        read_header(path)
    with pytest.raises(SplatError, match="does not exist"):
        read_header(tmp_path / "none.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_a_photo_cut_short_is_not_whole(tmp_path: Path, suffix: str, part: float) -> None:
    random = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", random)
    assert is_whole(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    try:
        assert not is_whole(path)
    except SplatError:
        assert suffix == "webp"  # Its header tells how long the file must be.
    with pytest.raises(SplatError, match=rf"a\.{suffix} is"):
        read_photo(path, upright=False)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_what_is_whole_can_be_decoded(tmp_path: Path, suffix: str) -> None:
    """Bytes behind the header are overwritten, and the cheap look finds what decoding finds."""
    random = np.random.default_rng(0)
    path = save(tmp_path / f"a.{suffix}", random.integers(0, 256, (150, 200, 3), dtype=np.uint8))
    content = path.read_bytes()
    damaged = 0
    for _ in range(40):
        start = int(random.integers(len(content) // 2, len(content) - 300))
        path.write_bytes(content[:start] + random.bytes(300) + content[start + 300 :])
        if is_whole(path):
            read_photo(path, upright=False)
        else:
            damaged += 1
    assert damaged > 0 or suffix == "bmp"  # Where any byte is a pixel.


def test_a_whole_jpeg_with_something_behind_it_is_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", gradient(WIDTH, HEIGHT))
    path.write_bytes(path.read_bytes() + b"a phone's own notes" * 20)
    assert is_whole(path)


def test_photos_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "sub/c.jpeg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path)] == ["a.PNG", "b.jpg", "sub/c.jpeg"]


# What a marker in the photo's own pixels looks like once the photo is upright.
TURNED = {1: lambda a: a, 3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a, -1), 8: lambda a: np.rot90(a, 1)}


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_lens_for_stored_pixels_gives_an_upright_view(tmp_path: Path, orientation: int) -> None:
    """COLMAP ignores the orientation; the image is turned and the camera with it, so a point stays where it was."""
    pixels = gradient(WIDTH, HEIGHT)
    path = save(tmp_path / "a.png", pixels)
    photo = fit(path, PINHOLE, Header(WIDTH, HEIGHT, orientation), 1, None)
    assert photo is not None
    image, _ = load(photo, None)
    assert np.array_equal(image, TURNED[orientation](pixels))

    pose = np.eye(4)
    pose[:3, 3] = (0.1, -0.2, 0.3)
    view = camera(photo, pose)
    assert (view.height, view.width) == image.shape[:2]
    # A point that the photo shows in the middle of pixel (column 20, row 5).
    column, row = 20, 5
    in_camera = torch.tensor([(column + 0.5 - PINHOLE.cx) / PINHOLE.fx, (row + 0.5 - PINHOLE.cy) / PINHOLE.fy, 1.0]) * 2
    world = torch.linalg.inv(torch.from_numpy(pose)).float() @ torch.cat([in_camera, torch.ones(1)])
    seen = view.Ks[0] @ (view.viewmats[0] @ world)[:3]
    x, y = (seen[:2] / seen[2] - 0.5).round().int().tolist()
    assert np.array_equal(image[y, x], pixels[row, column])


def test_a_lens_for_the_upright_photo_is_recognised(tmp_path: Path) -> None:
    pixels = gradient(WIDTH, HEIGHT)
    path = save(tmp_path / "a.jpg", pixels, orientation=6, quality=100, subsampling=0)
    header = read_header(path)
    assert header == (WIDTH, HEIGHT, 6)
    upright = Lens("PINHOLE", HEIGHT, WIDTH, 30.0, 31.0, 12.0, 16.0)
    photo = fit(path, upright, header, 1, None)
    assert photo is not None
    assert (photo.transposed, photo.turns, photo.width, photo.height) == (True, 0, HEIGHT, WIDTH)
    image, _ = load(photo, None)
    assert image.shape == (WIDTH, HEIGHT, 3)
    assert abs(image.astype(int) - np.rot90(pixels, -1)).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_upright_is_what_pillow_calls_upright(tmp_path: Path, orientation: int, name: str) -> None:
    path = save(tmp_path / name, gradient(WIDTH, HEIGHT), orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_photo(path, upright=True), expected)


def test_a_turned_tiff_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="a TIFF with an orientation tag"):
        read_header(save(tmp_path / "a.tif", gradient(WIDTH, HEIGHT), 6))


def test_a_photo_of_another_shape_does_not_fit(tmp_path: Path) -> None:
    assert fit(tmp_path, PINHOLE, Header(HEIGHT, WIDTH, 1), 1, None) is None
    assert fit(tmp_path, PINHOLE, Header(WIDTH, WIDTH, 1), 1, None) is None


def test_a_smaller_copy_fits_with_the_ratio_it_has(tmp_path: Path) -> None:
    lens = Lens("PINHOLE", 1001, 667, 900.0, 900.0, 500.0, 333.0)
    photo = fit(tmp_path, lens, Header(250, 167, 1), 1, None)
    assert photo is not None
    view = camera(photo, np.eye(4))
    assert (view.width, view.height) == (250, 167)
    assert view.Ks[0, 0, 0].item() == pytest.approx(900 * 250 / 1001)
    assert view.Ks[0, 1, 1].item() == pytest.approx(900 * 167 / 667)


@pytest.mark.parametrize("downscale", [1.5, 2, 3, 7])
def test_downscaling_is_by_area_and_by_the_actual_ratio(tmp_path: Path, downscale: float) -> None:
    pixels = gradient(WIDTH, HEIGHT)
    photo = fit(save(tmp_path / "a.png", pixels), PINHOLE, Header(WIDTH, HEIGHT, 1), downscale, None)
    assert photo is not None
    image, _ = load(photo, None)
    view = camera(photo, np.eye(4))
    assert image.shape == (round(HEIGHT / downscale), round(WIDTH / downscale), 3) == (view.height, view.width, 3)
    # Area averaging keeps the mean, which picking pixels would not.
    np.testing.assert_allclose(image[..., :2].mean((0, 1)), pixels[..., :2].mean((0, 1)), atol=1)
    np.testing.assert_allclose(view.Ks[0, 0, 2].item(), PINHOLE.cx * view.width / WIDTH, rtol=1e-6)


def test_transparency_is_a_mask_or_shows_the_background(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., 0] = 200
    pixels[:, :16, 3], pixels[:, 16:20, 3] = 255, 102
    photo = fit(save(tmp_path / "a.png", pixels), PINHOLE, Header(WIDTH, HEIGHT, 1), 1, None)
    assert photo is not None
    image, mask = load(photo, None)
    assert mask is not None
    assert mask.dtype == np.uint8
    assert mask[:, :16].all()
    assert not mask[:, 16:].any()
    assert (image[..., 0] == 200).all()
    image, mask = load(photo, (1.0, 0.5, 0.0))
    assert mask is None
    assert image[0, 0].tolist() == [200, 0, 0]
    assert image[0, 17].tolist() == [round(200 * 0.4 + 255 * 0.6), 77, 0]
    assert image[0, 31].tolist() == [255, 128, 0]


def test_transparent_pixels_do_not_bleed_into_their_neighbours(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., 1] = 255  # Green, but only where nothing is seen.
    pixels[:, 1::2] = (100, 0, 0, 255)
    photo = fit(save(tmp_path / "a.png", pixels), PINHOLE, Header(WIDTH, HEIGHT, 1), 2, None)
    assert photo is not None
    image, _ = load(photo, (0.0, 0.0, 0.0))
    assert not image[..., 1].any()
    assert (image[..., 0] == 50).all()


def test_masks_are_straightened_and_resized_with_their_photo(tmp_path: Path) -> None:
    lens = Lens("SIMPLE_RADIAL", 64, 48, 60.0, 60.0, 32.0, 24.0, (0.2,))
    path = save(tmp_path / "a.png", gradient(64, 48))
    black_left = np.full((24, 32), 255, np.uint8)
    black_left[:, :16] = 0
    mask_path = save(tmp_path / "mask.png", black_left)  # Half the photo's size.
    photo = fit(path, lens, Header(64, 48, 1), 2, mask_path)
    assert photo is not None
    image, mask = load(photo, None)
    assert mask is not None
    assert mask.shape == image.shape[:2] == (photo.height, photo.width)
    middle = round(straightened(lens).cx / 2)
    assert not mask[:, : middle - 1].any()
    assert mask[:, middle + 1 :].all()


def test_straightened_photo_shows_what_a_pinhole_would(tmp_path: Path) -> None:
    """A picture whose brightness is a function of the direction, seen through a bent lens and then straightened."""
    lens = Lens("OPENCV", 320, 240, 260.0, 262.0, 158.0, 121.0, (0.15, -0.05, 0.002, -0.001))

    def brightness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return 127 + 60 * np.sin(6 * u) + 60 * np.cos(5 * v)

    # Find each photo pixel's direction by fixed-point iteration: the lens only tells the other way.
    y, x = np.mgrid[0:240, 0:320] + 0.5
    u, v = (x - lens.cx) / lens.fx, (y - lens.cy) / lens.fy
    for _ in range(50):
        seen_x, seen_y = lens.project(u, v)
        u, v = u - (seen_x - x) / lens.fx, v - (seen_y - y) / lens.fy
    pixels = np.repeat(brightness(u, v)[..., None], 3, -1).round().astype(np.uint8)

    photo = fit(save(tmp_path / "a.png", pixels), lens, Header(320, 240, 1), 1, None)
    assert photo is not None
    image, _ = load(photo, None)
    K = camera(photo, np.eye(4)).Ks[0].double().numpy()
    rows, columns = np.mgrid[0 : photo.height, 0 : photo.width] + 0.5
    expected = brightness((columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1])
    assert abs(image[1:-1, 1:-1, 0] - expected[1:-1, 1:-1]).max() < 1.5


def test_loading_gives_arrays_that_torch_takes(tmp_path: Path) -> None:
    photo = Photo(save(tmp_path / "a.png", gradient(WIDTH, HEIGHT)), PINHOLE, WIDTH, HEIGHT, turns=1)
    image, _ = load(photo, None)
    assert image.flags["C_CONTIGUOUS"]
    assert torch.from_numpy(image).dtype == torch.uint8


def test_reading_on_a_thread_leaves_the_warnings_of_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, is_open, may_go_on, opening = tmp_path / "a.png", threading.Event(), threading.Event(), Image.open
    Image.fromarray(gradient(WIDTH, HEIGHT)).save(path)

    def held_up(*arguments: Any) -> Image.Image:
        is_open.set()
        may_go_on.wait(10)
        return opening(*arguments)

    monkeypatch.setattr(Image, "open", held_up)
    reading = threading.Thread(target=read_photo, args=(path,), kwargs={"upright": True})
    reading.start()
    is_open.wait(10)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        may_go_on.set()
        reading.join()
        warnings.warn("heard", stacklevel=1)
    assert [str(warning.message) for warning in said] == ["heard"]
