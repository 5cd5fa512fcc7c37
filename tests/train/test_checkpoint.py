"""Checkpoint files: whole or not there, and nothing else is believed."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
import torch
from full_disk import files_of_at_most

from splat.errors import SplatError
from splat.train.checkpoint import checkpoint_files, load_checkpoint, newest_checkpoint, save_checkpoint


def state(step: int) -> dict[str, object]:
    return {"step": step, "parameters": {"means": torch.full((100, 3), float(step))}, "pending_views": [1, 2]}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = save_checkpoint(state(7), tmp_path / "checkpoints", keep=2)
    loaded = load_checkpoint(path)
    assert loaded["step"] == 7 and loaded["pending_views"] == [1, 2]
    assert torch.equal(loaded["parameters"]["means"], torch.full((100, 3), 7.0))


def test_only_the_newest_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "step_notes.pt").write_text("mine")
    for step in (900, 10_000_000, 1_000):
        save_checkpoint(state(step), tmp_path, keep=2)
    assert [path.name for path in checkpoint_files(tmp_path)] == ["step_0001000.pt", "step_10000000.pt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_0001000.pt", "step_10000000.pt", "step_notes.pt"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    """One bit of the tensor's data, which torch itself would not notice."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size // 2 + 200] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    torch.save({"model": torch.zeros(3)}, path)


def code(path: Path) -> None:
    torch.save(Path("not plain data"), path)


DAMAGES = [truncated, flipped, empty, foreign, code]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_named(tmp_path: Path, damage) -> None:
    path = save_checkpoint(state(1), tmp_path, keep=1)
    damage(path)
    with pytest.raises(SplatError, match="step_0000001.pt .*(whole|damaged|no) .*checkpoint.*--overwrite"):
        load_checkpoint(path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_a_damaged_checkpoint_is_taken(tmp_path: Path, damage) -> None:
    save_checkpoint(state(1), tmp_path, keep=2)
    damage(save_checkpoint(state(2), tmp_path, keep=2))
    with pytest.warns(UserWarning, match="step_0000002.pt .*resuming from step_0000001.pt"):
        found = newest_checkpoint(tmp_path)
    assert found is not None and found["step"] == 1


def test_no_sound_checkpoint_is_an_error_and_none_at_all_is_not(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "absent") is None
    truncated(save_checkpoint(state(1), tmp_path, keep=2))
    with pytest.raises(SplatError, match="not a whole checkpoint"):
        newest_checkpoint(tmp_path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "step_0000001.pt"
    torch.save({"format": "splat-checkpoint", "version": 99}, path)
    with pytest.raises(SplatError, match="version 99"):
        load_checkpoint(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_leaves_the_older_checkpoint_and_no_half_file(tmp_path: Path) -> None:
    save_checkpoint(state(1), tmp_path, keep=1)
    large = {"step": 2, "parameters": torch.zeros(1_000_000)}
    with files_of_at_most(100_000), pytest.raises(SplatError, match=r"step_0000002\.pt.*space"):
        save_checkpoint(large, tmp_path, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step_0000001.pt"]
