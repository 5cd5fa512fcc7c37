"""cameras.json: what a run writes is read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from splat.datasets.scene import Scene
from splat.errors import SplatError
from splat.formats.cameras import read_cameras
from splat.train.run import describe_cameras


def test_a_runs_cameras_come_back(scene: Scene, tmp_path: Path) -> None:
    written = describe_cameras(scene)
    (tmp_path / "cameras.json").write_text(json.dumps(written))
    views = read_cameras(tmp_path / "cameras.json")
    assert [view.name for view in views] == [view.name for view in scene.views]
    assert [index for index, view in enumerate(views) if view.split == "test"] == scene.test
    for view, source in zip(views, written["views"], strict=True):
        assert (view.camera.width, view.camera.height) == (source["width"], source["height"])
        torch.testing.assert_close(view.camera.viewmats[0], torch.tensor(source["viewmat"]))
        torch.testing.assert_close(view.camera.Ks[0], torch.tensor(source["K"]))


def test_a_camera_made_by_hand_needs_no_name(tmp_path: Path) -> None:
    identity = [[float(i == j) for j in range(4)] for i in range(4)]
    K = [[10.0, 0.0, 8.0], [0.0, 10.0, 6.0], [0.0, 0.0, 1.0]]
    camera = {"width": 16, "height": 12, "viewmat": identity, "K": K}
    (tmp_path / "path.json").write_text(json.dumps({"views": [camera, {**camera, "model": "fisheye"}]}))
    first, second = read_cameras(tmp_path / "path.json")
    assert (first.name, first.split, first.camera.model, second.camera.model) == ("00000", "", "pinhole", "fisheye")
    (tmp_path / "path.json").write_text(json.dumps({"views": [{**camera, "model": "lens"}]}))
    with pytest.raises(SplatError, match="view 0 is not a camera .*model is 'lens'"):
        read_cameras(tmp_path / "path.json")
