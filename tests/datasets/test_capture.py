"""Captures from photos to a model: real ones, interrupted ones, odd ones."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splat.datasets.capture import STAGES, CaptureConfig, capture
from splat.datasets.scene import open_scene
from splat.datasets.sfm.mapping import map_photos

pytestmark = pytest.mark.slow

#: Neighbours of the sample that a quick capture places.
QUICK_PHOTOS = ("DSC_0423.JPG", "DSC_0424.JPG", "DSC_0425.JPG", "DSC_0426.JPG", "DSC_0438.JPG")
QUICK = CaptureConfig(max_image_size=800, max_features=3000, threads=2)

#: A capture in a process of its own, which prints each step.
SCRIPT = """
import sys
from pathlib import Path
from splat.datasets.capture import CaptureConfig, capture
config = CaptureConfig(max_image_size=800, max_features=3000, threads=2)
capture(Path(sys.argv[1]), Path(sys.argv[2]), config, lambda *step: print(*step, flush=True))
"""


@pytest.fixture
def few(sample: Path, tmp_path: Path) -> Path:
    """A folder of five photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in QUICK_PHOTOS:
        shutil.copy(sample / "images" / name, folder)
    return folder


def start(photos: Path, output: Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(photos), str(output)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def stop_at(process: subprocess.Popen[str], step: str, number: signal.Signals) -> str:
    """Sends a signal when the step is printed; returns what was written to stderr."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(step):
            process.send_signal(number)
            break
    return process.communicate(timeout=300)[1]


def test_the_sample(sample: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    output = tmp_path / "scene"
    result = capture(sample / "images", output, progress=lambda *step: steps.append(step))
    assert len(result.registered) >= 13 and result.photos == 16
    assert result.points > 2000 and result.reprojection_error < 0.6
    assert set(result.unregistered) | set(result.registered) == {p.name for p in (sample / "images").iterdir()}
    assert result.mapper == "incremental" and result.cameras == 1 and result.pairs == 120
    assert sorted(path.name for path in output.iterdir()) == ["capture.json", "capture_report.html", "images", "sparse"]
    for name in result.registered:
        assert (output / "images" / name).read_bytes() == (sample / "images" / name).read_bytes()
    page = (output / "capture_report.html").read_text()
    assert all(name in page for name in result.unregistered) and f"{result.points:,}" in page
    # Each stage runs up to its end, in order.
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == [*STAGES[1:]]
    last = {stage: (done, total) for stage, done, total in steps}
    assert all(done == total for done, total in last.values())
    scene = open_scene(output)
    assert len(scene.views) == len(result.registered) and len(scene.points) == result.points

    again = capture(sample / "images", output)
    assert again.continued and again.registered == result.registered and again.seconds == result.seconds


def test_killed_while_matching_it_continues(few: Path, tmp_path: Path) -> None:
    output = tmp_path / "scene"
    stop_at(start(few, output), "matching 0", signal.SIGKILL)
    assert [path.name for path in output.iterdir()] == [".capture"]
    steps: list[tuple[str, int, int]] = []
    result = capture(few, output, QUICK, lambda *step: steps.append(step))
    assert result.continued and len(result.registered) == 5 and result.reprojection_error < 1
    assert next(step for step in steps if step[0] == "features") == ("features", 5, 5)
    assert not (output / ".capture").exists()


def test_changed_photos_are_not_continued_with(few: Path, tmp_path: Path) -> None:
    output = tmp_path / "scene"
    stop_at(start(few, output), "matching 0", signal.SIGKILL)
    (few / QUICK_PHOTOS[0]).unlink()
    steps: list[tuple[str, int, int]] = []
    result = capture(few, output, QUICK, lambda *step: steps.append(step))
    assert not result.continued and result.photos == 4
    assert next(step for step in steps if step[0] == "features") == ("features", 0, 4)
    assert sorted(path.name for path in (output / "images").iterdir()) == sorted(QUICK_PHOTOS[1:])


def test_ctrl_c_leaves_nothing_half_written(few: Path, tmp_path: Path) -> None:
    for stage in ("photos 1", "features 1", "mapping 2"):
        process = start(few, tmp_path / "scene")
        assert "KeyboardInterrupt" in stop_at(process, stage, signal.SIGINT)
        assert process.returncode != 0
        assert [path.name for path in (tmp_path / "scene").iterdir()] == [".capture"]


def test_termination_is_quiet(few: Path, tmp_path: Path) -> None:
    process = start(few, tmp_path / "scene")
    assert stop_at(process, "mapping 2", signal.SIGTERM) == ""
    assert process.returncode == -signal.SIGTERM


def test_colmap_is_silent(few: Path, tmp_path: Path) -> None:
    process = start(few, tmp_path / "scene")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and errors == ""


def test_a_full_disk(few: Path, tmp_path: Path) -> None:
    """A limit on the size of files is what a test can have of a full disk; COLMAP's database runs into it."""
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = start(few, tmp_path / "scene", preexec_fn=limit)
    _, errors = process.communicate(timeout=300)
    last = errors.strip().splitlines()[-1]
    assert process.returncode == 1 and last.startswith("splat.errors.SplatError") and "disk has room" in last
    assert [path.name for path in (tmp_path / "scene").iterdir()] == [".capture"]
    assert capture(few, tmp_path / "scene", QUICK).continued


def test_odd_photos(few: Path, tmp_path: Path) -> None:
    """Unreadable, missing, turned and smaller ones among good ones; names with blanks, folders in folders."""
    good = few / "DSC_0424.JPG"
    (few / "cut.jpg").write_bytes(good.read_bytes()[:20000])
    (few / "gone.jpg").symlink_to(few / "nowhere.jpg")
    (few / "more photos").mkdir()
    good.rename(few / "more photos" / "a b.jpg")
    with Image.open(few / "DSC_0423.JPG") as image:
        tags = image.getexif()
        tags[0x0112] = 6
        image.rotate(90, expand=True).save(few / "DSC_0423.JPG", quality=95, exif=tags)
    with Image.open(few / "DSC_0425.JPG") as image:
        image.resize((960, 638)).save(few / "DSC_0425.JPG", quality=95, exif=image.getexif())
    result = capture(few, tmp_path / "scene", QUICK)
    assert set(result.left_out) == {"cut.jpg", "gone.jpg"}
    assert result.warnings[0].startswith("2 photos left out as unusable: ")
    assert len(result.registered) == 5 and "more_photos/a_b.jpg" in result.registered
    assert result.cameras == 3
    scene = open_scene(tmp_path / "scene")
    assert len(scene.views) == 5 and {view.camera.width > view.camera.height for view in scene.views} == {True}


def test_the_summary_is_plain_json(few: Path, tmp_path: Path) -> None:
    result = capture(few, tmp_path / "scene", QUICK)
    saved = json.loads((tmp_path / "scene" / "capture.json").read_text())["result"]
    assert saved == json.loads(json.dumps(result.to_json()))


def test_a_capture_of_other_photos_takes_the_place_of_the_old(few: Path, tmp_path: Path) -> None:
    capture(few, tmp_path / "scene", QUICK)
    (few / QUICK_PHOTOS[0]).unlink()
    result = capture(few, tmp_path / "scene", QUICK)
    assert not result.continued and result.photos == 4
    assert sorted(path.name for path in (tmp_path / "scene" / "images").iterdir()) == sorted(QUICK_PHOTOS[1:])


def test_it_can_be_repeated(few: Path, tmp_path: Path) -> None:
    """The same photos and seed give the same cameras, on one thread."""
    centres = []
    for name in "ab":
        capture(few, tmp_path / name, CaptureConfig(max_image_size=800, max_features=3000, threads=1))
        scene = open_scene(tmp_path / name)
        centres.append(np.concatenate([view.camera.positions.numpy() for view in scene.views]))
    assert np.abs(centres[0] - centres[1]).max() < 1e-4


def test_the_sample_says_where_it_is_from_but_not_where_it_was_taken(sample: Path) -> None:
    assert (sample / "LICENSE").is_file() and (sample / "SOURCE.md").is_file()
    assert sum(path.stat().st_size for path in sample.rglob("*") if path.is_file()) < 8 << 20
    for path in (sample / "images").iterdir():
        with Image.open(path) as image:
            assert not image.getexif().get_ifd(0x8825) and 0x8825 not in image.getexif(), path.name


def test_a_video(data: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    # With these settings the incremental mapper ends in a piece of 18 frames and one of 13; the global one joins all.
    config = CaptureConfig(frames=30, max_image_size=800, max_features=2000)
    result = capture(data / "video" / "bonsai_orbit.mp4", tmp_path / "scene", config, lambda *step: steps.append(step))
    assert steps[0][0] == "frames" and len(result.registered) >= 28 and result.reprojection_error < 1


def test_placing_under_half_tries_all_at_once_too(few: Path, tmp_path: Path) -> None:
    stop_at(start(few, tmp_path / "scene"), "mapping 2", signal.SIGKILL)
    work = tmp_path / "scene" / ".capture"
    # Told of 100 photos, five placed ones are too few to be content with.
    models, mapper = map_photos(work / "database.db", work / "images", tmp_path / "models", 100, 0, 2, lambda *_: None)
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"incremental", "global"}
    assert mapper in ("incremental", "global") and models[0].num_reg_images() == 5
    assert models[0].compute_mean_reprojection_error() < 1
