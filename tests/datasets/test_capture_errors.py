"""Captures that cannot be: one sentence that says why, and nothing left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from photographs import save, texture
from PIL import Image

from splat.datasets.capture import CaptureConfig, capture
from splat.datasets.sfm import folder
from splat.errors import SplatError

QUICK = CaptureConfig(max_image_size=320, max_features=500, threads=2)


def stopped(photos: Path, output: Path, config: CaptureConfig = QUICK) -> str:
    """The one sentence that a capture ends with."""
    with pytest.raises(SplatError) as caught:
        capture(photos, output, config)
    sentence = str(caught.value)
    assert "\n" not in sentence and "Traceback" not in sentence
    return sentence


def photos(path: Path, count: int) -> Path:
    """Pictures of different things: no two overlap."""
    for i in range(count):
        save(path / f"{i}.jpg", texture(i, 480, 640))
    return path


def test_no_such_folder(tmp_path: Path) -> None:
    assert "does not exist" in stopped(tmp_path / "nowhere", tmp_path / "out")


def test_no_photos(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("hello")
    assert "holds no photos" in stopped(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    assert "neither" in stopped(tmp_path / "a.txt", tmp_path / "out")
    (tmp_path / "a.mp4").write_text("hello")
    assert "a.mp4" in stopped(tmp_path / "a.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_videos(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mov"):
        (tmp_path / name).write_text("hello")
    assert "2 videos" in stopped(tmp_path, tmp_path / "out")


def test_too_few_photos(tmp_path: Path) -> None:
    assert "2 photos, and at least 3" in stopped(photos(tmp_path / "in", 2), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_usable(tmp_path: Path) -> None:
    photos(tmp_path / "in", 2)
    (tmp_path / "in" / "bad.jpg").write_text("no picture")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    sentence = stopped(tmp_path / "in", tmp_path / "out")
    assert "only 2 of 4 photos can be used" in sentence and "bad.jpg" in sentence
    assert not (tmp_path / "out").exists()


def test_no_overlap(tmp_path: Path) -> None:
    sentence = stopped(photos(tmp_path / "in", 4), tmp_path / "out")
    assert "none of the 4 photos could be placed" in sentence and "overlap too little" in sentence
    assert not (tmp_path / "out").exists()


def test_no_texture(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        Image.new("RGB", (320, 240), (60 * i, 90, 90)).save(tmp_path / "in" / f"{i}.png")
    assert "0 features" in stopped(tmp_path / "in", tmp_path / "out")


def test_output_is_not_a_folder(tmp_path: Path) -> None:
    photos(tmp_path / "in", 3)
    (tmp_path / "file").write_text("mine")
    sentence = stopped(tmp_path / "in", tmp_path / "file" / "out")
    assert str(tmp_path / "file") in sentence and "can be written" in sentence
    assert (tmp_path / "file").read_text() == "mine"


def test_no_write_permission(tmp_path: Path) -> None:
    photos(tmp_path / "in", 3)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "Permission denied" in stopped(tmp_path / "in", locked / "out")


def test_somebody_elses_files_are_left_alone(tmp_path: Path) -> None:
    photos(tmp_path / "in", 3)
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "mine.jpg").write_text("mine")
    assert "already holds images" in stopped(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "images" / "mine.jpg").read_text() == "mine"


def test_the_photos_are_never_overwritten(tmp_path: Path) -> None:
    images = photos(tmp_path / "scene" / "images", 3)
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    assert "choose another output" in stopped(images, tmp_path / "scene")
    assert before == {path.name: path.read_bytes() for path in images.iterdir()}


@pytest.mark.parametrize("values", [{"threads": 0}, {"max_features": 1}, {"frames": 2}, {"max_image_size": 1}])
def test_impossible_settings(values: dict[str, int]) -> None:
    with pytest.raises(SplatError, match=f"{next(iter(values))} must be at least"):
        CaptureConfig(**values)  # type: ignore[arg-type]


def test_the_fingerprint_sees_every_change(tmp_path: Path) -> None:
    def now(settings: dict[str, int]) -> str:
        return folder.fingerprint(folder.find_source(tmp_path / "in", tmp_path / "out"), settings)

    photos(tmp_path / "in", 3)
    first = now({"seed": 0})
    assert now({"seed": 0}) == first and now({"seed": 1}) != first
    shutil.copy(tmp_path / "in" / "0.jpg", tmp_path / "in" / "3.jpg")
    assert now({"seed": 0}) != first
    (tmp_path / "in" / "3.jpg").unlink()
    os.utime(tmp_path / "in" / "0.jpg", (1, 1))
    assert now({"seed": 0}) != first


def test_a_capture_made_inside_the_photos_folder_is_not_its_own_input(tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 3)
    photos(source / "scene" / "images", 5)
    assert len(folder.find_source(source, source / "scene").photos) == 3
