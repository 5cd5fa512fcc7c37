"""The first half of a capture: which photos are usable, what their EXIF says, which frames of a video are taken."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from photographs import save, texture
from PIL import Image

from splat.datasets.images import find_photos
from splat.datasets.sfm.exif import Exif, metres, read_exif
from splat.datasets.sfm.features import camera_groups, detect
from splat.datasets.sfm.photos import Photo, brightness, names_in_capture, prepare_photos, sharpness
from splat.datasets.sfm.video import extract_frames, target_frames
from splat.datasets.threads import in_order
from splat.errors import SplatError


def photo(name: str = "a.jpg", width: int = 320, height: int = 240, exif: Exif | None = None) -> Photo:
    return Photo(name, name, width, height, exif or Exif(), sharpness=100.0, brightness=-2.0, clipped=0.0)


def prepare(folder: Path, images: Path) -> tuple[list[Photo], dict[str, str]]:
    return prepare_photos(folder, find_photos(folder), images, 2, lambda done, total: None)


def test_exif_is_read(tmp_path: Path) -> None:
    gps = {1: "S", 2: (46.0, 30.0, 36.0), 3: "W", 4: (91.0, 0.0, 0.0), 5: b"\0", 6: 198.5}
    lens = {"make": "Maker", "focal": 4.0, "focal35": 28, "f_number": 2.0}
    path = save(tmp_path / "a.jpg", texture(0), **lens, time="2020:01:02 03:04:05", iso=200, exposure=0.01, gps=gps)
    exif = read_exif(path)
    assert exif.camera == ("Maker", "", 4.0, 28.0, 1)
    assert exif.time == "2020:01:02 03:04:05."
    assert exif.position == pytest.approx((-46.51, -91.0, 198.5))
    assert exif.exposure == pytest.approx(np.log2(0.01 * 2 / 4))


def test_no_exif_is_no_error(tmp_path: Path) -> None:
    Image.fromarray(texture(0)).save(tmp_path / "a.png")
    assert read_exif(tmp_path / "a.png") == Exif()


def test_metres_from_degrees() -> None:
    east = metres([(60.0, 10.0, 5.0), (60.0, 10.001, 5.0), (60.001, 10.0, 8.0)])
    # At 60 degrees north a degree of longitude is half as long as one of latitude.
    assert np.allclose(east, [(0, 0, 0), (55.66, 0, 0), (0, 111.32, 3)], atol=0.1)


def test_intrinsics_are_shared_within_a_group_only() -> None:
    phone, zoomed = Exif(("A", "x", 4.0, 28.0, 1)), Exif(("A", "x", 8.0, 56.0, 1))
    photos = [photo("1", exif=phone), photo("2", exif=phone), photo("3", exif=zoomed)]
    photos += [photo("4", width=240, height=320, exif=phone), photo("5"), photo("6")]
    assert [[p.name for p in group] for group in camera_groups(photos)] == [["1", "2"], ["3"], ["4"], ["5", "6"]]


def test_names_are_safe_and_different() -> None:
    names = names_in_capture(["a b.jpg", "a_b.jpg", "c.heic", "c.heic.jpg", "sub/d.JPG", "e.tif"])
    assert names == ["a_b.jpg", "a_b_.jpg", "c.heic.jpg", "c.heic_.jpg", "sub/d.JPG", "e.tif.jpg"]


def test_an_upright_photo_is_copied_byte_for_byte(tmp_path: Path) -> None:
    path = save(tmp_path / "in" / "sub" / "a.jpg", texture(0), make="Maker", orientation=1)
    photos, left_out = prepare(tmp_path / "in", tmp_path / "images")
    assert not left_out and photos[0].name == "sub/a.jpg"
    assert (tmp_path / "images" / "sub" / "a.jpg").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photo_is_set_upright(tmp_path: Path, orientation: int) -> None:
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:40, :60] = 255  # Upper left quarter is white.
    save(tmp_path / "in" / "a.jpg", pixels, orientation=orientation, make="Maker", focal=4.0)
    photos, _ = prepare(tmp_path / "in", tmp_path / "images")
    with Image.open(tmp_path / "images" / "a.jpg") as image:
        assert image.getexif().get(0x0112, 1) == 1 and image.getexif()[0x010F] == "Maker"
        assert image.getexif().get_ifd(0x8769)[0x920A] == 4.0
        upright = np.asarray(image)
    assert upright.shape[:2] == ((120, 80) if orientation >= 5 else (80, 120))
    assert (photos[0].height, photos[0].width) == upright.shape[:2]
    # Where EXIF says the stored upper left corner belongs.
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    height, width = upright.shape[:2]
    corner = upright[int(bottom) * height // 2 :, int(right) * width // 2 :][: height // 2, : width // 2]
    assert corner.mean() > 250 and upright.mean() == pytest.approx(255 / 4, abs=2)


def test_heic_and_tiff_become_jpeg(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    (tmp_path / "in").mkdir()
    Image.fromarray(texture(0)).save(tmp_path / "in" / "a.heic")
    Image.fromarray(texture(1)).save(tmp_path / "in" / "b.tif")
    photos, left_out = prepare(tmp_path / "in", tmp_path / "images")
    assert not left_out and [p.name for p in photos] == ["a.heic.jpg", "b.tif.jpg"]
    with Image.open(tmp_path / "images" / "b.tif.jpg") as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image, np.float32) - texture(1)).mean() < 2


def test_unusable_photos_are_named_with_the_reason(tmp_path: Path) -> None:
    good = save(tmp_path / "in" / "good.jpg", texture(0))
    (tmp_path / "in" / "cut.jpg").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "in" / "text.png").write_text("no picture")
    save(tmp_path / "in" / "tiny.jpg", texture(0, 20, 20))
    photos, left_out = prepare(tmp_path / "in", tmp_path / "images")
    assert [p.name for p in photos] == ["good.jpg"]
    assert set(left_out) == {"cut.jpg", "text.png", "tiny.jpg"} and "too small" in left_out["tiny.jpg"]
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["good.jpg"]


def test_sharpness_falls_with_blur_and_not_with_a_soft_background() -> None:
    sharp = texture(0, 400, 400)[..., 0]
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3).astype(np.uint8)
    half_soft = sharp.copy()
    half_soft[:, 160:] = 128
    assert sharpness(blurred) < 0.2 * sharpness(sharp)
    assert sharpness(half_soft) > 0.8 * sharpness(sharp)


def test_brightness_is_in_stops() -> None:
    white, gray = np.full((8, 8), 255, np.uint8), np.full((8, 8), 186, np.uint8)
    assert brightness(white) == pytest.approx(0)
    assert brightness(gray) == pytest.approx(-1, abs=0.02)


def test_features_lie_in_pixels_of_the_full_photo(tmp_path: Path) -> None:
    pixels = np.full((600, 800), 255, np.uint8)
    cv2.circle(pixels, (600, 450), 8, 0, -1)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    for size in (800, 400):
        keypoints, descriptors = detect(tmp_path / "a.png", size, 100)
        assert len(keypoints) == len(descriptors) >= 1 and descriptors.dtype == np.uint8
        # OpenCV draws around the middle of pixel (600, 450), which is (600.5, 450.5) here.
        assert np.abs(keypoints[:, :2] - (600.5, 450.5)).max() < 0.1
        assert 8 < keypoints[0, 2] < 13  # px of the full photo too


def test_no_features_is_no_error(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    keypoints, descriptors = detect(tmp_path / "a.png", 1600, 100)
    assert keypoints.shape == (0, 4) and descriptors.shape == (0, 128)


def write_video(path: Path, sharp: set[int], frames: int = 40) -> Path:
    """Frames of one texture, all blurred but the sharp ones."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 20, (320, 240))
    pixels = texture(3)
    for index in range(frames):
        writer.write(pixels if index in sharp else cv2.GaussianBlur(pixels, (0, 0), 4))
    writer.release()
    return path


def test_the_sharpest_frame_of_each_interval_is_taken(tmp_path: Path) -> None:
    sharp = {3, 17, 29, 30}
    steps = []
    extract_frames(write_video(tmp_path / "a.mp4", sharp), tmp_path / "frames", 4, lambda *step: steps.append(step))
    names = sorted(path.stem for path in (tmp_path / "frames").iterdir())
    assert len(names) == 4 and {int(name[-6:]) for name in names} <= sharp
    assert steps[-1] == (4, 4)


def test_a_turned_video_gives_upright_frames(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    video = write_video(tmp_path / "a.mp4", {5})
    turn = [ffmpeg, "-v", "error", "-display_rotation", "90", "-i", video, "-c", "copy", tmp_path / "b.mp4"]
    subprocess.run(turn, check=True)
    extract_frames(tmp_path / "b.mp4", tmp_path / "frames", 3, lambda done, total: None)
    with Image.open(next((tmp_path / "frames").iterdir())) as image:
        assert image.size == (240, 320)


def test_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(SplatError, match=r"a\.mp4 .*decode"):
        extract_frames(tmp_path / "a.mp4", tmp_path / "frames", 4, lambda done, total: None)
    assert not (tmp_path / "frames").exists()


def test_frames_by_length() -> None:
    assert [target_frames(seconds) for seconds in (1, 30, 60, 1000)] == [40, 60, 120, 200]


def test_results_come_in_order() -> None:
    assert list(in_order(lambda x: x * x, range(50), 4)) == [x * x for x in range(50)]
