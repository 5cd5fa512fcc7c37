"""Photos at the size a step wants them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from splat.datasets import open_scene
from splat.datasets.scene import Scene
from splat.train import views as module
from splat.train.views import TrainingViews

CPU = torch.device("cpu")


def test_a_reduced_pixel_is_the_mean_of_those_it_covers(scene: Scene) -> None:
    views = TrainingViews(scene, CPU, keep_alpha=False)
    whole, half = views.target(1, 1), views.target(1, 2)
    height, width = whole.image.shape[1:3]
    blocks = whole.image.float().reshape(1, height // 2, 2, width // 2, 2, 3).mean(dim=(2, 4)).round()
    torch.testing.assert_close(half.image.float(), blocks, atol=1, rtol=0)
    assert half.image.dtype == torch.uint8
    torch.testing.assert_close(half.camera.Ks[0, :2], whole.camera.Ks[0, :2] / 2)
    assert (half.camera.width, half.camera.height) == (width // 2, height // 2)


def test_a_reduced_photo_is_made_once(scene: Scene) -> None:
    views = TrainingViews(scene, CPU, keep_alpha=False)
    assert views.target(0, 2) is views.target(0, 2)


def test_reduced_photos_are_dropped_oldest_first_when_they_are_too_many(scene: Scene) -> None:
    views = TrainingViews(scene, CPU, keep_alpha=False)
    size = views.target(0, 2).image.nbytes
    views.cache_bytes = 3 * size
    for index in (1, 0, 2, 3):
        views.target(index, 2)
    assert [key[0] for key in views.reduced] == [0, 2, 3]
    assert views.bytes == 3 * size


class FakeStream:
    """Stands for a CUDA stream and its context, on which nothing runs."""

    def __init__(self, *_: object) -> None:
        self.waited = 0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def wait_event(self, event: object) -> None:
        self.waited += 1


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU to which nothing is copied but in name: what is copied, by the thread's stream."""
    side, main, copied = FakeStream(), FakeStream(), []

    class Event:
        def record(self, stream: FakeStream) -> None:
            assert stream is side

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    original = TrainingViews._copy
    monkeypatch.setattr(module, "on_device", lambda tensor, device: tensor.clone())

    def copy(views: TrainingViews, index: int) -> module.Target:
        copied.append(str(index))
        return original(views, index)

    monkeypatch.setattr(TrainingViews, "_copy", copy)
    return copied


CUDA = torch.device("cuda")


def test_photos_that_fit_on_the_gpu_are_copied_once(scene: Scene, copies: list[str]) -> None:
    views = TrainingViews(scene, CUDA, keep_alpha=False, room=1 << 30)
    for index, factor in ((1, 2), (1, 1), (2, 1), (1, 1), (2, 2)):
        views.target(index, factor)
        views.upload([2], factor)
    assert copies == ["1", "2"]


def test_photos_that_do_not_fit_are_copied_one_step_ahead(scene: Scene, copies: list[str]) -> None:
    views = TrainingViews(scene, CUDA, keep_alpha=False, room=1000)
    first = views.target(1, 1)
    views.upload([2], 1)
    views.upload([2], 1)
    assert copies == ["1", "2"]
    assert torch.equal(views.target(2, 1).image[0], scene.image(2)) and not views.ahead
    assert copies == ["1", "2"]
    assert torch.equal(views.target(1, 1).image, first.image) and copies == ["1", "2", "1"]


def test_a_pixel_counts_if_all_that_it_covers_does(scene: Scene) -> None:
    mask = torch.ones(scene.views[0].camera.height, scene.views[0].camera.width, dtype=torch.uint8)
    mask[:5, :4] = 0

    class Masked(Scene):
        def mask(self, index: int) -> torch.Tensor:
            return mask

    masked = Masked(**{field.name: getattr(scene, field.name) for field in dataclasses.fields(scene) if field.init})
    reduced = TrainingViews(masked, CPU, keep_alpha=False).target(0, 2).mask
    assert reduced is not None
    assert reduced[0, :3, :2].eq(0).all()
    assert reduced.sum() == reduced.numel() - 6


def test_transparent_photos_stand_in_front_of_any_colour(capture: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "transparent"
    (folder / "images").mkdir(parents=True)
    for file in ("transforms.json", "points.ply"):
        (folder / file).write_bytes((capture / file).read_bytes())
    for photo in (capture / "images").iterdir():
        pixels = np.array(Image.open(photo).convert("RGBA"))
        pixels[:, :32, 3] = 0
        Image.fromarray(pixels).save(folder / "images" / photo.name)
    green = torch.tensor([0.0, 1.0, 0.0])

    target = TrainingViews(open_scene(folder), CPU, keep_alpha=True).target(0, 2)
    shown = target.over(green)
    assert target.mask is None
    torch.testing.assert_close(shown[0, :, :16], green.expand(24, 16, 3))
    torch.testing.assert_close(shown[0, :, 16:], target.image[0, :, 16:] / 255)
    ignored = TrainingViews(open_scene(folder), CPU, keep_alpha=False).target(0, 1)
    assert ignored.mask is not None and ignored.mask[0, :, :32].eq(0).all() and ignored.mask[0, :, 32:].eq(1).all()
