"""Thumbnails and scores of the photos: made once, beside the pictures, whatever a photo is like."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from made_up import circle_of_cameras, made_up_scene

from splat.errors import SplatError
from splat.evaluate.metrics import psnr
from splat.render import render
from splat.viewer.gallery import SIDE, Gallery
from splat.viewer.pump import Pump
from splat.viewer.source import FileSource, PhotoView


class Photos:
    """The renders themselves, a little darker with each; the third is gone."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def image(self, index: int) -> torch.Tensor:
        self.read.append(index)
        if index == 2:
            raise SplatError("The photo 2.png is gone")
        image = render(made_up_scene(), circle_of_cameras()[index]).rgb[0].clamp(0, 1)
        return (image * (1 - 0.02 * index) * 255 + 0.5).byte()

    def mask(self, index: int) -> torch.Tensor | None:
        return None


def gallery_of(views: int, photos: Photos) -> Iterator[Gallery]:
    cameras = circle_of_cameras()
    places = [PhotoView(f"{index}.png", cameras[index], False) for index in range(views)]
    source = FileSource(made_up_scene(), "run", places, photos=photos)
    pump = Pump(source, lambda _: 0, lambda *_: None, lambda: None)
    pump.start()
    yield Gallery(pump)
    pump.stop()


@pytest.fixture
def photos() -> Photos:
    return Photos()


@pytest.fixture
def gallery(photos: Photos) -> Iterator[Gallery]:
    """Of two photos that are there."""
    yield from gallery_of(2, photos)


@pytest.fixture
def torn(photos: Photos) -> Iterator[Gallery]:
    """Of four photos, one of which is gone."""
    yield from gallery_of(4, photos)


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def test_thumbnails_come_once_and_without_those_that_cannot_be_read(torn: Gallery, photos: Photos) -> None:
    torn.ask([3, 2, 0])
    torn.ask([0, 3, 1])
    wait(lambda: len(torn.thumbnails) == 3)
    assert sorted(photos.read) == [0, 1, 2, 3]
    assert sorted(torn.thumbnails) == [0, 1, 3]
    assert torn.thumbnails[1].shape == (48, 64, 3)


def test_a_large_photo_is_made_small(gallery: Gallery, photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "image", lambda index: torch.full((1500, 1000, 3), 77, dtype=torch.uint8))
    gallery.ask([0])
    wait(lambda: bool(gallery.thumbnails))
    assert gallery.thumbnails[0].shape == (SIDE, 213, 3) and int(gallery.thumbnails[0].max()) == 77


def test_every_photo_is_scored_as_the_evaluation_does(gallery: Gallery) -> None:
    gallery.measure()
    wait(lambda: not gallery.measuring)
    photo, own = Photos().image(1), render(made_up_scene(), circle_of_cameras()[1]).rgb[0]
    assert sorted(gallery.scores) == [0, 1] and not gallery.problem
    assert gallery.scores[1] == pytest.approx(float(psnr(own, photo / 255)), abs=0.2)
    assert gallery.scores[0] > gallery.scores[1] + 3


def test_measuring_ends_where_a_photo_is_gone_and_says_so(torn: Gallery) -> None:
    torn.measure()
    wait(lambda: not torn.measuring)
    assert sorted(torn.scores) == [0, 1] and torn.problem == "The photo 2.png is gone"


@pytest.mark.parametrize("error", [ValueError("/home/ann/photos/1.png is odd"), MemoryError()])
def test_measuring_ends_whatever_goes_wrong(
    gallery: Gallery, photos: Photos, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    read = photos.image

    def fail_at_the_second(index: int) -> torch.Tensor:
        if index == 1:
            raise error
        return read(index)

    with monkeypatch.context() as broken:
        broken.setattr(photos, "image", fail_at_the_second)
        gallery.measure()
        wait(lambda: not gallery.measuring)
        assert sorted(gallery.scores) == [0]
        assert gallery.problem == "The photo 1.png could not be measured; the log says why"
    gallery.measure()
    wait(lambda: not gallery.measuring)
    assert sorted(gallery.scores) == [0, 1] and not gallery.problem


def test_a_problem_names_no_folders(gallery: Gallery, photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(index: int) -> torch.Tensor:
        raise SplatError(f"/home/ann/photos/{index}.png is gone")

    monkeypatch.setattr(photos, "image", gone)
    gallery.measure()
    wait(lambda: not gallery.measuring)
    assert gallery.problem == "0.png is gone"


def test_one_bad_photo_leaves_the_others_alone_and_is_tried_again(
    torn: Gallery, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, broken = photos.image, [True]

    def odd(index: int) -> torch.Tensor:
        if index == 1 and broken[0]:
            photos.read.append(index)
            raise ValueError("the photo is odd")
        return read(index)

    monkeypatch.setattr(photos, "image", odd)
    torn.ask([1, 3, 0])
    wait(lambda: sorted(torn.thumbnails) == [0, 3])
    torn.ask([1])  # A page asks twice a second.
    torn.ask([2])
    wait(lambda: 2 in photos.read)
    assert photos.read.count(1) == 1
    broken[0] = False
    torn._readable_at[1] = 0.0  # Half a minute later.
    torn.ask([1])
    wait(lambda: sorted(torn.thumbnails) == [0, 1, 3])
    torn.ask([0, 1, 3])
    assert photos.read.count(1) == 2


def test_measuring_can_be_stopped(torn: Gallery, photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    read = photos.image

    def stop_at_the_second(index: int) -> torch.Tensor:
        if index == 1:
            torn.stop()
        return read(index)

    monkeypatch.setattr(photos, "image", stop_at_the_second)
    torn.measure()
    wait(lambda: 1 in torn.scores)
    torn.ask([3])
    wait(lambda: 3 in torn.thumbnails)
    assert sorted(torn.scores) == [0, 1] and not torn.measuring and not torn.problem
