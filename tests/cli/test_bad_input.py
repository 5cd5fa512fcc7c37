"""What stops a command: one sentence (file, reason, what to do), exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import SMALL
from full_disk import files_of_at_most

from splat.cli.main import main
from splat.flight import Flight, Key
from splat.formats.flight import to_json

Words = list[str]


def stopped(words: list[object], capfd: pytest.CaptureFixture[str]) -> str:
    """Runs a command that has to stop with 2, and gives the sentence."""
    assert main([str(word) for word in words]) == 2
    output = capfd.readouterr()
    sentence = output.err.splitlines()[-1]
    assert sentence.startswith("splat: ") and "Traceback" not in output.err and not output.out
    return sentence


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


PLY = b"ply\nformat binary_little_endian 1.0\nelement vertex %d\n%send_header\n%s"
NAMES = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
NAMES += ["rot_0", "rot_1", "rot_2", "rot_3"]
PROPERTIES = b"".join(f"property float {name}\n".encode() for name in NAMES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"solid cube", "no PLY file"),
        (PLY % (1, b"property float x\n", b"\0" * 4), "no splat scene"),
        (PLY % (10**12, PROPERTIES, b"\0" * 56), "claims 1,000,000,000,000 vertex records"),
        (b"", "no PLY file"),
    ],
)
@pytest.mark.parametrize("command", ["info", "render", "view"])
def test_a_bad_scene_file(
    command: str, content: bytes, reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "scene.ply", content)
    output = ["-o", tmp_path / "frames"] if command == "render" else []
    sentence = stopped([command, file, *output], capfd)
    assert str(file) in sentence and reason in sentence
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.filterwarnings("default:.*not finite")
def test_gaussians_that_are_no_numbers_are_left_out_and_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    rows = np.ones((3, len(NAMES)), "<f4")
    rows[1, 0] = np.nan
    file = write(tmp_path / "scene.ply", PLY % (3, PROPERTIES, rows.tobytes()))
    assert main(["info", str(file), "--json"]) == 0
    output = capfd.readouterr()
    assert json.loads(output.out)["gaussians"] == 2
    assert output.err.startswith("warning: ") and "1 of 3 Gaussians" in output.err


@pytest.mark.parametrize("command", ["info", "eval", "render", "view"])
def test_nothing_there(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = ["-o", tmp_path / "frames"] if command == "render" else []
    assert str(tmp_path / "absent") in stopped([command, tmp_path / "absent", *output], capfd)
    assert "scene.ply" in stopped([command, tmp_path, *output], capfd)


@pytest.mark.parametrize("command", ["capture", "train"])
def test_no_photos(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    for words in ([command, photos], [command, write(photos / "notes.txt", b"none").parent]):
        assert str(photos) in stopped([*words, "-o", tmp_path / "out"], capfd)
    assert not list((tmp_path / "out").rglob("*.ply")) and not list((tmp_path / "out").rglob("*.bin"))


@pytest.mark.parametrize("command", ["capture", "train"])
def test_too_few_photos(command: str, sample: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for photo in sorted((sample / "images").iterdir())[:2]:
        shutil.copy(photo, photos)
    write(photos / "broken.jpg", b"\xff\xd8\xff\xe0 not a photo")
    sentence = stopped([command, photos, "-o", tmp_path / "out"], capfd)
    assert str(photos) in sentence and "3" in sentence


@pytest.mark.slow
def test_photos_without_overlap(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(photos / f"{seed}.jpg")
    sentence = stopped(["train", photos, "-o", tmp_path / "run"], capfd)
    assert "overlap" in sentence


def corrupt_points(scene: Path) -> str:
    write(scene / "sparse/0/points3D.bin", (10**12).to_bytes(8, "little") + b"\0" * 40)
    return "points3D.bin"


def cut_images(scene: Path) -> str:
    file = scene / "sparse/0/images.bin"
    write(file, file.read_bytes()[:-7])
    return "images.bin"


def no_photos_left(scene: Path) -> str:
    for photo in sorted((scene / "images").iterdir())[2:]:
        photo.unlink()
    return "2 usable views"


@pytest.mark.parametrize("spoil", [corrupt_points, cut_images, no_photos_left])
def test_a_spoilt_capture(
    spoil: Callable[[Path], str], sample: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scene = shutil.copytree(sample, tmp_path / "scene")
    names = spoil(scene)
    sentence = stopped(["train", scene, "-o", tmp_path / "run"], capfd)
    assert names in sentence
    assert not (tmp_path / "run").exists()


def test_a_file_where_a_folder_should_be(
    run: Path, capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "file", b"mine")
    assert str(file) in stopped(["train", capture, "-o", file], capfd)
    assert str(file) in stopped(["render", run, "-o", file], capfd)
    assert str(file) in stopped(["render", run, "-o", file / "deeper.mp4"], capfd)
    assert file.read_bytes() == b"mine"


def test_render_leaves_other_peoples_files_alone(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = write(tmp_path / "holiday.jpg", b"mine")
    assert str(tmp_path) in stopped(["render", run, "-o", tmp_path, "--frames", "1"], capfd)
    assert kept.read_bytes() == b"mine" and list(tmp_path.iterdir()) == [kept]


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs Linux's /sys, where not even root may write")
@pytest.mark.parametrize("command", ["train", "capture", "render"])
def test_no_permission(command: str, run: Path, capture: Path, sample: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = {"train": capture, "capture": sample / "images", "render": run}[command]
    sentence = stopped([command, source, "-o", "/sys/kernel/splat"], capfd)
    assert "/sys/kernel" in sentence and ("permission" in sentence or "written" in sentence)


@pytest.mark.parametrize("suffix", [".mp4", ""])
def test_a_full_disk_leaves_what_was_there(
    suffix: str, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"orbit{suffix}"
    if suffix:
        write(output, b"the old video")
    with files_of_at_most(500):
        sentence = stopped(["render", run, "-o", output, "--frames", "3"], capfd)
    assert "-o" in sentence or "disk" in sentence or "ffmpeg" in sentence
    assert [path.name for path in tmp_path.iterdir()] == (["orbit.mp4"] if suffix else [])
    assert not suffix or output.read_bytes() == b"the old video"


def test_a_port_in_use(run: Path, capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in stopped(["view", run, "--port", port], capfd)
        words = ["train", capture, "-o", tmp_path / "run", "--iterations", "5", "--view", "--port", port]
        assert str(port) in stopped(words, capfd)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--path", "spiral"], "--path spiral is not known"),
        (["--path", "absent.json"], "absent.json cannot be read"),
        (["--frames", "0"], "must be above 0"),
        pytest.param(
            ["--device", "cuda"],
            "--device cuda: ",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and that is no mistake"),
        ),
    ],
)
def test_render_flags(words: Words, said: str, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert said in stopped(["render", run, "-o", tmp_path / "frames", *words], capfd)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "does not hold a JSON object"),
        ("{", "is not JSON"),
        ('{"views": []}', 'no list "views"'),
        ('{"keys": [], "version": 1}', "is a flight without keys"),
        ('{"keys": [{}], "version": 1}', "position of key 1 is no list"),
        (to_json(Flight((Key((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 0.8, hold=3600.0),) * 9)), "more than"),
        ('{"keys": []}', "is of version None"),
        ('{"views": [{"width": 4}]}', "it lacks 'viewmat'"),
        ('{"views": [{"width": 4, "height": 4, "viewmat": [[1]], "K": [[1]]}]}', "viewmats must be"),
        ('{"views": [{"width": 4, "height": 4, "viewmat": [[NaN]], "K": [[1]]}]}', "not finite"),
    ],
)
def test_a_bad_camera_path(
    content: str, said: str, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "path.json", content.encode())
    sentence = stopped(["render", run, "--path", path, "-o", tmp_path / "frames"], capfd)
    assert str(path) in sentence and said in sentence


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target-size=15"], "'15' is no size; write it like 15MB"),
        (["--target-vram", "lots"], "'lots' is no size"),
        (["--target-time", "5"], "'5' is no duration; write it like 90s, 5min or 1h30m"),
        (["--target-size", "50kB"], "--target-size 50kB has room for 701 Gaussians, and fewer than 1,000 show nothing"),
        (["--target-size", "2MB", "--max-gaussians", "90000"], "--max-gaussians 90000 contradicts --target-size 2MB"),
        (
            ["--target-device", "phone", "--max-gaussians", "1500000"],
            "--target-device phone, which has room for 1,000,000",
        ),
        # These first measure what a step costs.
        pytest.param(
            ["--target-time", "0s"],
            "--target-time 0s is too short: 50 steps, the least that show anything",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--target-time", "10min", "--iterations", "9000000"],
            "--iterations 9000000 contradicts --target-time 10min",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_budget_that_cannot_be_kept(
    words: Words, said: str, capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said in stopped(["train", capture, "-o", tmp_path / "run", *words, *SMALL], capfd)
    assert not (tmp_path / "run").exists()


def test_an_impossible_budget_is_said_before_photos_are_placed(
    sample: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", sample / "images", "-o", tmp_path / "run", "--target-size", "2MB", "--max-gaussians", "90000"]
    assert "contradicts" in stopped(words, capfd)
    assert not (tmp_path / "run").exists()
