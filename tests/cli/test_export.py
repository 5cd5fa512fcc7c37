"""`splat export` and `splat convert`: what they write, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import unavailable
from full_disk import files_of_at_most

from splat.cli.main import main
from splat.export.page import TEMPLATE
from splat.flight import Flight, Key
from splat.formats import FORMATS, read, write
from splat.formats.flight import to_json


def printed(capfd: pytest.CaptureFixture[str]) -> dict:
    """The one JSON object that is all of stdout."""
    output = capfd.readouterr().out
    assert output.count("\n") == 1
    return json.loads(output)


def stopped(words: list[object], capfd: pytest.CaptureFixture[str]) -> str:
    """Runs a command that has to stop with 2, and gives the sentence."""
    assert main([str(word) for word in words]) == 2
    output = capfd.readouterr()
    sentence = output.err.splitlines()[-1]
    assert sentence.startswith("splat: ") and not output.out
    return sentence


def test_export_says_how_close_the_copy_is(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "copy.ply"
    assert main(["export", str(run), str(output), "--sh-degree", "1", "--json"]) == 0
    values = printed(capfd)
    assert values["output"] == str(output) and values["bytes"] == output.stat().st_size
    assert values["sh_degree"] == 1 == read(output).sh_degree and values["ratio"] > 2
    assert values["views"] == 2 and values["psnr_worst"] <= values["psnr"] <= 100
    assert values["photos"]["original"] == pytest.approx(values["photos"]["copy"], abs=3)
    assert [view["name"] for view in values["per_view"]] == ["images/00.png", "images/05.png"]
    assert [path.name for path in output.parent.iterdir()] == ["copy.ply"]


def test_export_for_people(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run / "scene.ply"), str(tmp_path / "copy.ply")]) == 0
    output = capfd.readouterr()
    assert f"{len(read(run / 'scene.ply'))} Gaussians" in output.out and "dB in the worst of 12 views" in output.out
    assert "compare (12)" in output.err and "photos" not in output.out


def test_no_verify_looks_at_nothing(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), str(tmp_path / "copy.ply"), "--no-verify", "--json"]) == 0
    values = printed(capfd)
    assert values["psnr"] is None and values["views"] == 0 and values["per_view"] == []


def test_export_help_says_what_each_format_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f" {suffix} " in text and held.name in text for suffix, held in FORMATS.items())


def test_export_keeps_what_was_there_when_it_fails(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "copy.ply"
    output.write_text("before")
    words = ["export", run, output, "--max-gaussians", "10", "--threshold", "60"]
    assert f"{output} was not written" in stopped(words, capfd)
    assert output.read_text() == "before" and list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("command", ["export", "convert"])
def test_wrong_input(command: str, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.ply"
    choices = stopped([command, run, tmp_path / "copy.xyz"], capfd)
    assert "copy.xyz" in choices and ".html" in choices and ".ksplat" not in choices, "what is written, not read"
    assert "scene.ply" in stopped([command, tmp_path, copy], capfd)
    assert "does not exist" in stopped([command, tmp_path / "absent.ply", copy], capfd)
    (tmp_path / "bad.ply").write_bytes(b"solid cube")
    assert "no PLY file" in stopped([command, tmp_path / "bad.ply", copy], capfd)
    (tmp_path / "folder.ply").mkdir()
    assert "is a folder" in stopped([command, run, tmp_path / "folder.ply"], capfd)
    assert "would be lost" in stopped([command, run, run / "scene.ply"], capfd)
    assert "cannot be written" in stopped([command, run, tmp_path / "bad.ply" / "copy.ply"], capfd)
    assert not copy.exists()


@pytest.mark.parametrize(
    "words", [["--sh-degree", "5"], ["--max-gaussians", "0"], ["--no-verify", "--threshold", "30"]]
)
def test_wrong_wishes(words: list[str], run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert words[0] in stopped(["export", run, tmp_path / "copy.ply", *words], capfd)


@pytest.mark.parametrize("suffix", sorted(key for key, held in FORMATS.items() if held.writes and key[0] == "."))
def test_every_format_is_exported_described_and_rendered(
    suffix: str, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"copy{suffix}"
    assert main(["export", str(run), str(output), "--json"]) == 0
    values = printed(capfd)
    assert values["psnr"] > 30 and values["views"] == 2
    assert main(["info", str(output), "--json"]) == 0
    facts = printed(capfd)
    assert facts["format"] == FORMATS[suffix].name and facts["antialias"] == "classic"
    assert (facts["gaussians"], facts["sh_degree"]) == (values["gaussians"], values["sh_degree"])
    words = ["render", str(output), "-o", str(tmp_path / "frames"), "--frames", "1", "--downscale", "8"]
    assert main(words) == 0 and len(list((tmp_path / "frames").iterdir())) == 1


@pytest.mark.parametrize("suffix", sorted(key for key, held in FORMATS.items() if held.writes and key[0] == "."))
def test_a_disk_that_gets_full_at_the_end(
    suffix: str, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"copy{suffix}"
    assert main(["convert", str(run), str(output)]) == 0
    size = output.stat().st_size
    output.write_text("before")
    capfd.readouterr()
    with files_of_at_most(size - 8):
        assert f"{output}: cannot be written" in stopped(["convert", run, output], capfd)
    assert output.read_text() == "before" and list(tmp_path.iterdir()) == [output]


def test_there_has_to_be_something_to_export(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.ply"
    write(read(run / "scene.ply").select(torch.arange(0)), empty)
    assert f"{empty} holds no Gaussians" in stopped(["export", empty, tmp_path / "copy.spz"], capfd)


def test_a_file_alone_has_no_photos(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["export", run / "scene.ply", tmp_path / "copy.ply", "--capture", tmp_path]
    assert "is no run" in stopped(words, capfd)


def test_a_folder_of_files_is_converted_to(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "splat convert" in stopped(["export", run, tmp_path / "meta.json"], capfd)
    assert main(["convert", str(run), str(tmp_path / "meta.json")]) == 0
    assert len(read(tmp_path / "meta.json")) == len(read(run / "scene.ply"))


def test_a_target_size(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(run), str(tmp_path / "copy.ply"), "--target-size", "9kB", "--report", "--json"]
    assert main(words) == 0
    values = printed(capfd)
    assert values["bytes"] <= 9000 and values["plan"]["target"] == 9000
    assert values["plan"]["chosen"]["gaussians"] == values["gaussians"] and "were chosen" in values["why"]
    assert Path(values["report"]).is_file()
    assert "is no size" in stopped(["export", run, tmp_path / "copy.ply", "--target-size", "9"], capfd)


def test_convert(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "copy.ply"
    for source in (run, run / "scene.ply"):
        assert main(["convert", str(source), str(output), "--json"]) == 0
        values = printed(capfd)
        assert values["gaussians"] == len(read(output)) and values["bytes"] == output.stat().st_size
        assert values["lost"] == [] and values["sh_degree"] == 3
    assert main(["convert", str(run), str(output)]) == 0
    assert capfd.readouterr().out.startswith(f"{output}: ")
    assert "splat export" in stopped(["convert", run, tmp_path / "page.html"], capfd)


def test_a_page_flies_the_path_that_the_viewer_saved(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if not TEMPLATE.is_file():
        unavailable("node", "the page was not bundled: install Node.js, then `make web`")
    path, page = tmp_path / "flight.json", tmp_path / "page.html"
    ahead = (1.0, 0.0, 0.0, 0.0)
    flight = Flight((Key((0.0, 0.0, -2.0), ahead, 0.8), Key((1.0, 0.0, -2.0), ahead, 0.8, travel=7.25)))
    path.write_text(to_json(flight))
    words = ["export", run, page, "--path", path, "--no-verify"]
    assert main([str(word) for word in words]) == 0
    assert flight.duration == 7.25 and '"duration": 7.25' in page.read_text()
    capfd.readouterr()
    assert "--path is for pages" in stopped(["export", run, tmp_path / "a.spz", "--path", path], capfd)
    assert "no camera flight" in stopped(["export", run, page, "--path", run / "cameras.json"], capfd)
    assert "--threshold takes" in stopped(["export", run, page, "--threshold", "nan"], capfd)
