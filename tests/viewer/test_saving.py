"""What is left of a scene, in a file of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import unavailable
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import circle_of_cameras, made_up_scene
from plyfile import PlyData

from splat.budget import FILE_COSTS
from splat.errors import SplatError
from splat.export.opening import Opening
from splat.export.page import TEMPLATE
from splat.formats import read, write
from splat.viewer.saving import bare_name, estimate, kept_format, new_file, save, written
from splat.viewer.scale import Scale, similarity
from splat.viewer.source import FileSource

COUNT = len(made_up_scene())


@settings(max_examples=30)
@given(st.sets(st.integers(0, COUNT - 1), max_size=COUNT - 1), st.integers(0, 2))
def test_the_file_holds_exactly_what_was_kept(tmp_path_factory, deleted: set[int], undone: int) -> None:
    scene, source = made_up_scene(), FileSource(made_up_scene(), "file")
    halves = [sorted(deleted)[::2], sorted(deleted)[1::2]]
    for half in halves:
        rows = torch.zeros(COUNT, dtype=torch.bool)
        rows[half] = True
        source.edit(lambda edits, rows=rows: edits.delete(rows, "half"))
    for _ in range(undone):
        source.edit(lambda edits: edits.undo())
    done = [half for half in halves if half]
    gone = {row for half in done[: max(0, len(done) - undone)] for row in half}
    kept = [row for row in range(COUNT) if row not in gone]
    path = tmp_path_factory.mktemp("saved") / "edited.ply"
    assert save(source, path) == len(kept)
    vertices = PlyData.read(str(path))["vertex"]
    written = np.stack([vertices[name] for name in ("x", "y", "z", "opacity")], axis=1)
    wanted = torch.cat([scene.means, scene.opacity_logits[:, None]], dim=1)[kept].numpy()
    assert np.array_equal(written, wanted)


def test_scale_and_up_are_applied(tmp_path: Path) -> None:
    scene, matrix = made_up_scene(), similarity(Scale(2.0, "m"), np.array([0.0, 0.0, 1.0]))
    save(FileSource(scene, "file"), tmp_path / "turned.ply", matrix)
    saved, wanted = read(tmp_path / "turned.ply"), scene.transform(matrix)
    assert torch.equal(saved.means, wanted.means) and torch.equal(saved.log_scales, wanted.log_scales)


def test_a_page_opens_where_the_camera_was_with_the_scene_upright(tmp_path: Path) -> None:
    if not TEMPLATE.is_file():
        unavailable("node", "the page was not bundled: install Node.js, then `make web`")
    scene, up = made_up_scene(), np.array([0.0, 0.0, 1.0])
    matrix, cameras = similarity(Scale(2.0, "m"), up), [circle_of_cameras()[2]]
    save(FileSource(scene, "file"), tmp_path / "page.html", matrix, cameras=cameras, up=up)
    moved = Opening.of(scene.transform(matrix), [cameras[0].transform(matrix)], np.array([0.0, -1.0, 0.0]))
    assert json.dumps(moved.pose())[1:-1] in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("name", ["", "..", "../evil", "a/b", "/etc/passwd", ".hidden", "a\0b", "x" * 300])
def test_a_name_is_no_way_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SplatError, match="plain file name"):
        new_file(tmp_path / "scene.ply", name, ".ply")


def test_no_file_is_overwritten_and_the_suffix_is_the_formats(tmp_path: Path) -> None:
    scene = tmp_path / "scene.ply"
    write(made_up_scene(), scene)
    for name in ("scene", " scene.ply "):
        with pytest.raises(SplatError, match=r"file scene\.ply already"):
            new_file(scene, name, ".ply")
    assert new_file(scene, "my scene (2)", ".ply") == tmp_path / "my scene (2).ply"
    assert new_file(scene, "a.PLY", ".ply") == tmp_path / "a.PLY"


def test_a_scene_is_saved_in_its_own_format_where_that_is_written() -> None:
    assert written()[0] == ".ply" and {".spz", ".compressed.ply"} <= set(written())
    assert not {".ksplat", ".pt", "meta.json"} & set(written())
    kept = {"a.compressed.ply": ".compressed.ply", "a.PLY": ".ply", "a.ksplat": ".ply", "b/meta.json": ".ply"}
    assert {name: kept_format(Path(name)) for name in kept} == kept
    assert bare_name(Path("a.compressed.ply")) == bare_name(Path("a.spz")) == "a"
    assert bare_name(Path("garden/meta.json")) == "garden"


def test_an_empty_scene_is_not_saved(tmp_path: Path) -> None:
    source = FileSource(made_up_scene(), "file")
    source.edit(lambda edits: edits.delete(torch.ones(COUNT, dtype=torch.bool), "all"))
    with pytest.raises(SplatError, match="Nothing is left"):
        save(source, tmp_path / "empty.ply")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("degree", range(4))
def test_the_size_said_before_is_the_size_after(tmp_path: Path, degree: int) -> None:
    path = tmp_path / "scene.ply"
    write(made_up_scene().with_sh_degree(degree), path)
    expected = estimate(COUNT, degree, ".ply")
    assert expected is not None and 0 <= expected - path.stat().st_size <= FILE_COSTS["ply"].rest
    assert estimate(COUNT, degree, ".unheard") is None
