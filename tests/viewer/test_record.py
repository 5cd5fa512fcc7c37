"""Screenshots and videos are what the renderer draws, and nothing is left of what was given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import circle_of_cameras, made_up_scene
from PIL import Image

from splat.errors import SplatError
from splat.flight import Flight, Key
from splat.render import render
from splat.viewer import record
from splat.viewer.camera import Pose
from splat.viewer.frames import Request
from splat.viewer.record import MOST_SIDE, Recording, file_name, screenshot
from splat.viewer.source import FileSource

NEAR = 0.01
REQUEST = Request(Pose((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.8), 96, 64, background=(0.2, 0.4, 0.6))
KEYS = tuple(Key.of(viewmat, 0.8, travel=1.0) for viewmat in circle_of_cameras().viewmats[:3].double().numpy())

FLIGHT = Flight(KEYS)
FILES: list[bytes] = []


def source() -> FileSource:
    return FileSource(made_up_scene(), "scene")


def rendered(camera) -> np.ndarray:
    return render(made_up_scene(), camera, background=torch.tensor(REQUEST.background)).rgb[0].numpy() * 255


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def recording(width: int = 65, height: int = 48, flight: Flight = FLIGHT, fps: int = 3) -> Recording:
    return Recording(source(), REQUEST, NEAR, flight, width, height, fps, FILES.append)


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    FILES.clear()
    yield


def test_a_screenshot_is_the_render(temporary: Path) -> None:
    camera = circle_of_cameras()[2].resized(200, 150)
    for _ in screenshot(source(), REQUEST, camera, NEAR, smooth=False, finish=FILES.append):
        pass
    (png,) = FILES
    picture = Image.open(BytesIO(png))
    assert picture.format == "PNG" and picture.size == (200, 150)
    assert np.abs(np.asarray(picture) - rendered(camera).clip(0, 255)).max() <= 0.51


def test_smoothed_it_is_the_mean_of_four_and_less_jagged() -> None:
    camera = circle_of_cameras()[2].resized(100, 76)
    for _ in screenshot(source(), REQUEST, camera, NEAR, smooth=True, finish=FILES.append):
        pass
    double = rendered(camera.resized(200, 152)).clip(0, 255).reshape(76, 2, 100, 2, 3).mean((1, 3))
    picture = Image.open(BytesIO(FILES[0]))
    assert picture.size == (100, 76) and np.abs(np.asarray(picture) - double).max() <= 1.02


def test_a_video_has_the_flights_pictures(temporary: Path) -> None:
    import cv2

    video = recording()
    assert video.total == 7 and video.seconds_left is None
    for number, _ in enumerate(video.pieces(), 1):
        assert video.done == number and not FILES
    assert video.ended and not video.problem and not list(temporary.iterdir())
    (temporary / "it.mp4").write_bytes(FILES[0])
    film = cv2.VideoCapture(str(temporary / "it.mp4"))
    frames = [frame[:, :, ::-1] for more, frame in iter(film.read, (False, None)) if more]
    film.release()
    cameras = list(Flight(KEYS).cameras(3, 64, 48))
    assert len(frames) == 7 and frames[0].shape == (48, 64, 3)
    for index in (0, 3, 6):
        assert np.abs(frames[index] - rendered(cameras[index]).clip(0, 255)).mean() < 6


@pytest.mark.parametrize("how", ["cancelled", "closed", "failed"])
def test_nothing_is_left_of_a_video_that_was_given_up(how: str, temporary: Path) -> None:
    video = recording()
    pieces = video.pieces()
    next(pieces)
    assert list(temporary.iterdir())
    if how == "cancelled":
        video.cancel()
    elif how == "closed":
        pieces.close()  # pyright: ignore[reportAttributeAccessIssue]
    else:
        video._request = replace(REQUEST, mode="nonsense")  # pyright: ignore[reportArgumentType]
    assert not list(pieces)
    assert video.ended and not FILES and not list(temporary.iterdir())
    assert bool(video.problem) == (how != "closed")


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(SplatError, match="no size for a picture: choose up to 33 million pixels"):
        recording(width=2 * MOST_SIDE)
    with pytest.raises(SplatError, match="two keys or more"):
        recording(flight=Flight(KEYS[:1]))
    with pytest.raises(SplatError, match="20,000 are the most"):
        recording(flight=Flight(KEYS).lasting(3600), fps=60)
    # A path that can be loaded; its moments alone would take 27 GB.
    endless = Flight(tuple(replace(KEYS[0], travel=3600.0, hold=3600.0) for _ in range(1000)))
    with pytest.raises(SplatError, match="have 863,568,001 pictures, 20,000 are the most: make it shorter"):
        recording(flight=endless, fps=120)
    camera = circle_of_cameras()[0].resized(5000, 5000)
    with pytest.raises(SplatError, match="5000 × 5000 is no size for a picture: choose up to 8 million"):
        next(screenshot(source(), REQUEST, camera, NEAR, smooth=True, finish=FILES.append))


def test_a_video_too_large_for_the_page_is_not_sent(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST_SENT", 1000)
    video = recording()
    for _ in video.pieces():
        pass
    assert video.ended and not FILES and not list(temporary.iterdir())
    assert "too much for the page" in video.problem and "`splat render SCENE --path PATH.json" in video.problem


def test_files_are_named_after_the_scene_whatever_it_is_called() -> None:
    assert file_name("My run/../2", ".png") == "My-run-..-2.png"
    assert file_name("///", ".mp4") == "scene.mp4" and file_name("Äpfel", "") == "Äpfel"
