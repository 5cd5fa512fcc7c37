"""From a scene to a file that was looked at."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from splat import formats
from splat.errors import SplatError
from splat.export.kinds import held_filter, kind, lost, table
from splat.export.page import TEMPLATE
from splat.export.run import Wishes, export
from splat.export.verify import compare
from splat.export.views import Views, of_file, of_run
from splat.formats import FORMATS, Format, read
from splat.formats.cameras import NamedCamera
from splat.gaussians import Gaussians


def test_a_plain_copy_is_the_same(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    exported = export(shiny, tmp_path / "copy.ply", views)
    assert torch.equal(read(exported.path).sh, shiny.sh)
    assert [loss.psnr for loss in exported.losses] == [100.0, 100.0]
    assert [loss.name for loss in exported.losses] == ["images/00.png", "images/05.png"]
    assert exported.bytes == exported.path.stat().st_size == pytest.approx(exported.plain_bytes, abs=1500)
    assert not exported.lost


@pytest.mark.skipif(not TEMPLATE.is_file(), reason="the page's viewer was not built (make web)")
def test_of_a_page_the_scene_in_it_is_compared(
    shiny: Gaussians, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page turns the scene until its up is the viewer's, and the comparison turns it back."""
    tilt = torch.eye(4, dtype=torch.float64)
    tilt[1:3, 1:3] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    back = torch.linalg.inv(tilt).float()

    def tilted(view: NamedCamera) -> NamedCamera:
        return dataclasses.replace(view, camera=dataclasses.replace(view.camera, viewmats=view.camera.viewmats @ back))

    moved = dataclasses.replace(
        views, judged=[tilted(view) for view in views.judged], trained=[tilted(view) for view in views.trained]
    )
    taken_out = []

    def reading(path: Path) -> Gaussians:
        taken_out.append(path.read_bytes()[:2].decode("latin1"))
        return read(path)

    monkeypatch.setattr(formats, "read", reading)
    exported = export(shiny.transform(tilt), tmp_path / "page.html", moved)
    assert all(loss.psnr > 35 for loss in exported.losses)
    assert exported.bytes < 2_000_000 and not exported.lost
    assert taken_out == ["PK"], "the scene's archive, and not the viewer's code before it"


def test_both_are_compared_with_the_photos(run: Path, views: Views) -> None:
    scene = read(run / "scene.ply")
    darker = dataclasses.replace(scene, sh=scene.sh - 0.2)
    for loss in compare(scene, darker, views):
        assert loss.original is not None and loss.copy is not None
        assert loss.original > 50, "the photos are of this very scene"
        assert loss.copy == pytest.approx(loss.psnr, abs=0.3)
    alone = dataclasses.replace(views, photos=None)
    assert all(loss.original is None and loss.copy is None for loss in compare(scene, darker, alone))


def test_each_is_rendered_with_its_own_filter(shiny: Gaussians, views: Views) -> None:
    other = dataclasses.replace(shiny, antialias="antialiased")
    assert all(loss.psnr < 60 for loss in compare(shiny, other, views))
    assert all(loss.psnr == 100 for loss in compare(other, other, views))


def test_a_copy_that_is_too_far_off_is_not_written(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    path = tmp_path / "copy.ply"
    path.write_text("what was there")
    with pytest.raises(SplatError, match=r"copy\.ply was not written: .* dB from the original, below 40 dB") as error:
        export(shiny, path, views, Wishes(max_gaussians=20, threshold=40))
    assert "/." not in str(error.value)
    assert path.read_text() == "what was there" and list(tmp_path.iterdir()) == [path]
    # Whoever asks for less gets less.
    assert export(shiny, path, views, Wishes(max_gaussians=20)).gaussians == 20
    assert len(read(path)) == 20


def test_by_default_what_looks_different_is_refused(
    shiny: Gaussians, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = Format("PLY that holds no SH", "splat.formats.ply", 0)
    monkeypatch.setitem(FORMATS, ".ply", grey)
    bright = dataclasses.replace(shiny, sh=4 * shiny.sh)
    with pytest.raises(SplatError, match="below 30 dB"):
        export(bright, tmp_path / "copy.ply", views)
    exported = export(bright, tmp_path / "copy.ply", views, Wishes(verify=False))
    assert exported.sh_degree == 0 == read(exported.path).sh_degree
    assert exported.losses == [] and "degree 2 is cut" in exported.lost[0]


def test_what_a_format_loses_is_said(shiny: Gaussians, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lost(shiny, Path("copy.ply")) == []
    flagged = Format("Flagged", "splat.formats.ply", 1, ("classic", "antialiased"))
    monkeypatch.setitem(FORMATS, ".flagged", flagged)
    monkeypatch.setitem(FORMATS, ".mute", Format("Mute", "splat.formats.ply", 3))
    assert [held_filter(name, flagged) for name in ("classic", "antialiased", "mip")] == [
        "classic",
        "antialiased",
        "antialiased",
    ]
    mip = dataclasses.replace(shiny, antialias="mip")
    assert len(lost(mip, Path("copy.flagged"))) == 2 and "softer" in lost(mip, Path("copy.flagged"))[1]
    assert lost(mip, Path("copy.mute")) == [
        "Mute cannot name the filter mip, it is shown classic: thin things look thicker from afar"
    ]
    assert lost(shiny, Path("copy.mute")) == []


def test_the_table_names_each_format() -> None:
    text = table()
    words = " ".join(text.split())
    for suffix, held in FORMATS.items():
        line = next(line for line in text.splitlines() if suffix in line.split())
        assert f"SH degree {held.sh_degree}" in line and ("not written" in line) is not held.writes
        assert " ".join(held.name.split()) in words and " ".join(held.limits.split()) in words


def test_a_report_shows_both_and_their_difference(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    exported = export(shiny, tmp_path / "copy.ply", views, Wishes(sh_degree=0, report=True))
    assert exported.report is not None and exported.report.name == "copy.ply.report.html"
    page = exported.report.read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 3 * len(views.judged)
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert all(f"<td>{loss.name}</td><td>{loss.psnr:.2f}</td>" in page for loss in exported.losses)


def test_what_is_refused_can_be_looked_at(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    with pytest.raises(SplatError, match=r"\(see .*copy\.ply\.report\.html\)"):
        export(shiny, tmp_path / "copy.ply", views, Wishes(max_gaussians=20, threshold=40, report=True))
    assert [path.name for path in tmp_path.iterdir()] == ["copy.ply.report.html"]


def test_formats_that_are_only_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, ".old", Format("Old", "splat.formats.ply", 3, writes=False))
    with pytest.raises(SplatError, match=r"scene\.old: \.old files are read here, not written; choose one of .*\.ply"):
        kind(Path("scene.old"))


def test_photos_that_are_gone_are_done_without(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "source": str(tmp_path / "gone")}))
    views = of_run(copy, copy / "cameras.json")
    assert views.photos is None and len(views.judged) == 2 and str(tmp_path / "gone") in views.notes[0]
    with pytest.raises(SplatError):
        of_run(copy, copy / "cameras.json", tmp_path / "gone")
    found = of_run(copy, copy / "cameras.json", Path(config["source"]))
    assert found.photos is not None and not found.notes


def test_a_run_without_held_out_photos_is_seen_from_an_orbit(run: Path, tmp_path: Path) -> None:
    content = json.loads((run / "cameras.json").read_text())
    for view in content["views"]:
        view["split"] = "train"
    (tmp_path / "cameras.json").write_text(json.dumps(content))
    views = of_run(run, tmp_path / "cameras.json")
    assert len(views.judged) == 12 and len(views.trained) == 10 and views.notes


def test_an_empty_scene(shiny: Gaussians, views: Views, tmp_path: Path) -> None:
    empty = shiny.select(torch.arange(0))
    with pytest.raises(SplatError, match="holds no Gaussians"):
        of_file(empty)
    with pytest.raises(SplatError, match=r"copy\.spz: the scene holds no Gaussians"):
        export(empty, tmp_path / "copy.spz", views, Wishes(target_size=10_000))
