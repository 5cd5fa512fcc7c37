"""The commands on a tiny run: what they write, what they print, and what --json promises."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import SMALL
from PIL import Image

import splat as library
from splat.cameras import intrinsics
from splat.cli.main import main
from splat.cli.output import size
from splat.flight import Flight, Key
from splat.formats.flight import to_json


def printed(capfd: pytest.CaptureFixture[str]) -> dict:
    """The one JSON object that is all of stdout."""
    output = capfd.readouterr().out
    assert output.count("\n") == 1
    return json.loads(output)


def pixels(path: Path) -> torch.Tensor:
    """[H, W, 3] of a picture, 0 to 255."""
    with Image.open(path) as picture:
        return torch.tensor(list(picture.tobytes())).reshape(picture.height, picture.width, 3)


def test_train_leaves_a_whole_run(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "scene.ply", "cameras.json", "metrics.jsonl", "checkpoints", "report.html"}


def test_train_takes_the_flags_that_scripts_rely_on(
    capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    flags = "--iterations 6 --downscale 2 --max-gaussians 150 --strategy adc --antialias mip --seed 3 --device cpu"
    words = ["train", str(capture), "--output", str(folder), *flags.split(), *SMALL, "--format", "nerfstudio", "--json"]
    assert main(words) == 0
    values = printed(capfd)
    assert values["steps"] == 6 and values["gaussians"] <= 150 and values["reason"] == "done"
    assert {"psnr", "ssim", "views", "seconds", "scene", "report", "run"} <= set(values)
    config = json.loads((folder / "config.json").read_text())["config"]
    assert (config["antialias"], config["seed"], config["downscale"]) == ("mip", 3, 2)
    assert config["data"]["format"] == "nerfstudio"


def test_resume_keeps_the_runs_own_settings(capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    start = ["train", str(capture), "-o", str(folder), *SMALL]
    assert main([*start, "--iterations", "4", "--seed", "5", "--json"]) == 0
    assert printed(capfd)["steps"] == 4
    assert main([*start, "--resume", "--json"]) == 0
    assert printed(capfd)["steps"] == 4
    assert json.loads((folder / "config.json").read_text())["config"]["seed"] == 5


def test_a_second_run_does_not_replace_the_first_by_accident(
    run: Path, capture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (run / "scene.ply").read_bytes()
    assert main(["train", str(capture), "-o", str(run)]) == 2
    assert "--resume" in capfd.readouterr().err
    assert (run / "scene.ply").read_bytes() == before


def test_eval_reports_and_writes_the_page(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--json"]) == 0
    values = printed(capfd)
    assert values["views"] == 2 and values["gaussians"] > 0 and values["seconds"] > 0
    assert 5 < values["psnr"] < 60 and -1 <= values["ssim"] <= 1
    assert 0 <= values["floaters"]["score"] <= values["floaters"]["worst"] <= 100
    assert [view["name"] for view in values["per_view"]] == ["images/00.png", "images/05.png"]
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluation = next(entry for entry in logged if entry["kind"] == "eval")
    # The scene went through its file, in the capture's world and back.
    assert values["psnr"] == pytest.approx(evaluation["psnr"], abs=0.01)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 6 and "<svg" in page


@pytest.mark.slow
def test_a_run_with_a_budget_and_refined_poses_says_what_came_of_both(
    capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["--iterations", "6", "--test-every", "5", "--corrections.poses", "--target-size", "500kB", *SMALL]
    assert main(["train", str(capture), "-o", str(tmp_path / "run"), *flags, "--json"]) == 0
    trained = printed(capfd)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "PSNR with poses fitted" in page and "floaters" not in page
    assert f"<b>{size(trained['budget']['size']['used'])}</b><span>scene.ply, of 500kB</span>" in page
    assert main(["eval", str(tmp_path / "run"), "--json"]) == 0
    values = printed(capfd)
    assert values["psnr"] < values["psnr_aligned"] == pytest.approx(trained["psnr_aligned"], abs=0.1)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"<b>{values['floaters']['score']:.2f} %</b>" in page and "scene.ply, of 500kB" in page


def test_eval_for_people(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--split", "train"]) == 0
    output = capfd.readouterr().out
    assert "dB" in output and "8 train photos" in output and "LPIPS: left out" in output


@pytest.mark.slow
def test_eval_finds_a_capture_that_was_moved(
    run: Path, capture: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    moved, copy = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(capture, moved)
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "source": str(tmp_path / "gone")}))
    assert main(["eval", str(copy)]) == 2
    assert "--capture" in capfd.readouterr().err
    assert main(["eval", str(copy), "--capture", str(moved), "--json"]) == 0
    assert printed(capfd)["views"] == 2


def test_render_to_a_folder(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    for frames in (3, 2):
        assert main(["render", str(run), "-o", str(folder), "--frames", str(frames), "--json"]) == 0
        values = printed(capfd)
    assert (values["frames"], values["width"], values["height"]) == (2, 64, 48)
    assert sorted(path.name for path in folder.iterdir()) == ["00000.png", "00001.png"]
    assert pixels(folder / "00000.png").shape == (48, 64, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_render_shows_what_the_library_renders(run: Path, tmp_path: Path) -> None:
    assert main(["render", str(run), "--path", "test", "-o", str(tmp_path / "views")]) == 0
    view = json.loads((run / "cameras.json").read_text())["views"][0]
    assert view["split"] == "test"
    viewmat, K = (torch.tensor(view[key])[None] for key in ("viewmat", "K"))
    camera = library.Cameras(viewmat, K, view["width"], view["height"])
    image = library.render(library.load(run / "scene.ply"), camera).rgb[0].clamp(0, 1)
    assert (pixels(tmp_path / "views" / "00000.png") - image * 255).abs().max() <= 0.51


def test_render_to_a_video(run: Path, tmp_path: Path) -> None:
    import cv2

    output = tmp_path / "new" / "orbit.mp4"
    assert main(["render", str(run), "-o", str(output), "--frames", "5", "--downscale", "1.3"]) == 0
    video = cv2.VideoCapture(str(output))
    frames = [frame for more, frame in iter(video.read, (False, None)) if more]
    video.release()
    assert [frame.shape for frame in frames] == 5 * [(36, 50, 3)]
    assert [path.name for path in output.parent.iterdir()] == ["orbit.mp4"]


def test_render_a_bare_file_and_a_path_made_by_hand(run: Path, tmp_path: Path) -> None:
    assert main(["render", str(run / "scene.ply"), "-o", str(tmp_path / "a"), "--frames", "1", "--downscale", "8"]) == 0
    assert pixels(tmp_path / "a" / "00000.png").float().std() > 5, "an orbit around a bare file sees the scene"
    views = json.loads((run / "cameras.json").read_text())["views"][:2]
    made = [{key: view[key] for key in ("width", "height", "K", "viewmat")} for view in views]
    (tmp_path / "path.json").write_text(json.dumps({"views": made}))
    words = ["render", str(run / "scene.ply"), "--path", str(tmp_path / "path.json"), "-o", str(tmp_path / "b")]
    assert main(words) == 0
    assert len(list((tmp_path / "b").iterdir())) == 2


def test_render_a_flight_that_the_viewer_saved(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    views = json.loads((run / "cameras.json").read_text())["views"]
    keys = [Key.of(np.array(view["viewmat"]), 0.8, travel=0.5) for view in views[:2]]
    (tmp_path / "flight.json").write_text(to_json(Flight(tuple(keys))))
    words = ["render", str(run), "--path", str(tmp_path / "flight.json"), "-o", str(tmp_path / "a"), "--fps", "4"]
    assert main([*words, "--downscale", "20", "--json"]) == 0
    values = printed(capfd)
    assert (values["frames"], values["width"], values["height"]) == (3, 96, 54)
    camera = library.Cameras(torch.tensor(views[1]["viewmat"])[None], intrinsics(96, 54, 0.8)[None], 96, 54)
    image = library.render(library.load(run / "scene.ply"), camera).rgb[0].clamp(0, 1)
    assert (pixels(tmp_path / "a" / "00002.png") - image * 255).abs().max() <= 1


def test_info_counts(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run), "--json"]) == 0
    values = printed(capfd)
    scene = library.load(run / "scene.ply")
    assert values["gaussians"] == len(scene) and values["sh_degree"] == 3
    assert values["antialias"] == "classic" and "PLY" in values["format"]
    assert values["bytes"] == (run / "scene.ply").stat().st_size
    assert values["box"]["min"] == pytest.approx(scene.means.amin(0).tolist())
    assert sum(values["opacity"]["counts"]) == len(scene) and sum(values["log10_scale"]["counts"]) == 3 * len(scene)
    assert main(["info", str(run / "scene.ply")]) == 0
    assert f"{len(scene):,}" in capfd.readouterr().out


def test_info_of_an_empty_scene(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    empty = library.Gaussians(*(torch.zeros(0, *shape) for shape in ((3,), (4,), (3,), (), (1, 3))))
    library.save(empty, tmp_path / "empty.ply")
    assert main(["info", str(tmp_path / "empty.ply"), "--json"]) == 0
    assert printed(capfd)["gaussians"] == 0
    assert main(["info", str(tmp_path / "empty.ply")]) == 0
    assert main(["render", str(tmp_path / "empty.ply"), "-o", str(tmp_path / "frames")]) == 2


def test_doctor_says_what_works(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    values = printed(capfd)
    checks = {check["name"]: check for check in values["checks"]}
    assert values["ok"] and checks["CPU library"]["status"] == "ok" and checks["splat"]["status"] == "ok"
    assert {"python", "torch", "CUDA library", "COLMAP", "[viewer]", "ffmpeg", "browser"} <= set(checks)
    assert main(["doctor"]) == 0
    assert "ok  CPU library" in capfd.readouterr().out


def test_doctor_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from splat.cli.main import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "-> Run: pip install torch\n" in done.stdout and "Report this" not in done.stdout


def test_doctor_notices_a_foreign_splat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "splat").mkdir()
    (tmp_path / "splat" / "__init__.py").touch()
    (tmp_path / "splat-9.dist-info").mkdir()
    (tmp_path / "splat-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: splat\nVersion: 9\n")
    (tmp_path / "splat-9.dist-info" / "top_level.txt").write_text("splat\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["doctor"]) == 2
    output = capfd.readouterr().out
    assert "!!  splat" in output and "pip uninstall splat" in output


@pytest.mark.slow
def test_view_serves_until_interrupted(run: Path) -> None:
    command = [sys.executable, "-m", "splat", "view", str(run), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    line = process.stderr.readline()
    assert "http://127.0.0.1:" in line, line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.slow
def test_training_can_be_watched(capture: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(tmp_path / "run"), "--iterations", "5"]
    command += ["--view", "--port", "0", *SMALL]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    said = ""
    while "until Ctrl-C" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    assert "http://127.0.0.1:" in said
    process.send_signal(signal.SIGINT)
    assert "scene.ply" in process.communicate(timeout=30)[0]
    assert process.returncode == 0


@pytest.mark.slow
def test_watching_ends_with_training_when_asked(capture: Path, tmp_path: Path) -> None:
    words = ["train", str(capture), "-o", str(tmp_path / "run"), "--iterations", "3", "--view", "--port", "0"]
    assert main([*words, *SMALL, "--close-when-done"]) == 0


@pytest.mark.slow
def test_interrupted_training_is_saved(capture: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(tmp_path / "run")]
    command += ["--iterations", "100000", "--json", *SMALL]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.is_file() and metrics.stat().st_size):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and json.loads(output)["reason"] == "SIGINT"
    assert "--resume" in errors and "Traceback" not in errors
    assert {"scene.ply", "checkpoints"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert not [path for path in (tmp_path / "run").rglob(".*")], "no temporary file is left"
