"""Atomic writing: the old file or the new one, and nothing beside it."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from full_disk import files_of_at_most

from splat.errors import SplatError
from splat.files import atomic
from splat.formats import write
from splat.gaussians import Gaussians


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    for text in ("one", "two"):
        with atomic(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".txt"
            temporary.write_text(text)
        assert path.read_text() == text
    assert names(path.parent) == ["a.txt"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_block_changes_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(failure), atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise failure
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "no permission"), (errno.EIO, "cannot be written")],
)
def test_the_system_s_refusal_becomes_a_sentence(tmp_path: Path, number: int, reason: str) -> None:
    with pytest.raises(SplatError, match=rf"a\.txt: .*{reason}"), atomic(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SplatError, match="cannot be written"), atomic(tmp_path / "file" / "a.txt"):
        raise AssertionError("unreachable")


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are POSIX")
def test_a_device_that_takes_no_more(tmp_path: Path) -> None:
    """A real failing write, in the middle of a scene: the limit stands for the end of the disk."""
    path = tmp_path / "scene.ply"
    path.write_text("old")
    zeros = torch.zeros(1000, 4)
    scene = Gaussians(zeros[:, :3], zeros + 1, zeros[:, :3], zeros[:, 0], zeros[:, None, :3])
    with files_of_at_most(10_000), pytest.raises(SplatError, match=f"{re.escape(str(path))}: cannot be written"):
        write(scene, path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["scene.ply"]
