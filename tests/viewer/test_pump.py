"""The drawing thread: right pictures, and nothing that stops it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import torch
from made_up import circle_of_cameras, made_up_scene

from splat.errors import SplatError
from splat.evaluate.metrics import psnr
from splat.gaussians import Gaussians
from splat.render import render
from splat.viewer.camera import Pose, ViewSpace
from splat.viewer.frames import Request
from splat.viewer.pump import Frame, Pump
from splat.viewer.source import FileSource, PhotoView

Result = TypeVar("Result")


class Photos:
    """The renders themselves, but for a brighter left half."""

    def image(self, index: int) -> torch.Tensor:
        image = (render(made_up_scene(), circle_of_cameras()[index]).rgb[0].clamp(0, 1) * 255 + 0.5).byte()
        image[:, :32] = image[:, :32] // 2 + 100
        return image

    def mask(self, index: int) -> torch.Tensor | None:
        return None


class Fragile(FileSource):
    """Fails a given number of times."""

    def __init__(self, error: Exception, failures: int) -> None:
        super().__init__(made_up_scene(), "fragile", views())
        self._error, self.failures = error, failures

    def with_gaussians(self, work: Callable[[Gaussians], Result]) -> Result:
        self.failures -= 1
        if self.failures >= 0:
            raise self._error
        return super().with_gaussians(work)


class Screen:
    """Where frames and complaints arrive."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.complaints: list[tuple[int, str]] = []
        self.ticks = 0
        self.pumps: list[Pump] = []

    def pump(self, source: FileSource, **options: Any) -> Pump:
        pump = Pump(source, self.take, lambda *complaint: self.complaints.append(complaint), self.tick, **options)
        self.pumps.append(pump)
        pump.start()
        return pump

    def take(self, frame: Frame) -> int:
        self.frames.append(frame)
        return 1000

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == 1:
            raise RuntimeError("a browser left half way through")

    def wait(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not what():
            assert time.monotonic() < deadline, "nothing came"
            time.sleep(0.01)


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    for pump in screen.pumps:
        pump.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "viewer"]


def views() -> list[PhotoView]:
    cameras = circle_of_cameras()
    return [PhotoView(f"{index}.png", cameras[index], False) for index in range(len(cameras))]


def space() -> ViewSpace:
    return ViewSpace.of_cameras(circle_of_cameras().viewmats.double().numpy())


REQUEST = Request(Pose((0.7071, -0.7071, 0.0, 0.0), (0.0, -2.0, 0.0), 0.8), 96, 64, background=(0.2, 0.4, 0.6))


def test_a_frame_is_what_the_renderer_draws(screen: Screen) -> None:
    screen.pump(FileSource(made_up_scene(), "file")).request(1, REQUEST, space())
    screen.wait(lambda: bool(screen.frames))
    (frame,) = screen.frames
    camera = space().camera(REQUEST.pose, 96, 64)
    wanted = render(made_up_scene(), camera, background=torch.tensor(REQUEST.background), near=space().near).rgb[0]
    assert frame.image is not None and frame.gaussians == 60
    assert torch.equal(frame.image, (wanted.clamp(0, 1) * 255 + 0.5).byte())
    assert float(frame.image.float().std()) > 10


def test_what_a_browser_has_come_to_wish_is_asked_for_when_there_is_time_to_draw_it(screen: Screen) -> None:
    wishes = [replace(REQUEST, width=width) for width in (80, 88, 96)]
    said: list[Request] = []

    def gather() -> None:
        if said:
            pump.request(1, said.pop(), space())
            said.clear()

    pump = screen.pump(FileSource(made_up_scene(), "file"), gather=gather)
    said.extend(wishes)
    pump.wake()
    screen.wait(lambda: len(screen.frames) == 2)
    assert {frame.job.request for frame in screen.frames} == {wishes[-1]}


def test_what_rests_is_drawn_with_four_samples_a_pixel(screen: Screen) -> None:
    screen.pump(FileSource(made_up_scene(), "file")).request(1, REQUEST, space())
    screen.wait(lambda: len(screen.frames) == 2)
    full, fine = screen.frames
    camera = space().camera(REQUEST.pose, 2 * 96, 2 * 64)
    wanted = render(made_up_scene(), camera, background=torch.tensor(REQUEST.background), near=space().near).rgb[0]
    means = wanted.clamp(0, 1).reshape(64, 2, 96, 2, 3).mean(dim=(1, 3))
    assert fine.job.quality == "fine" and fine.image is not None and full.image is not None
    assert (fine.image / 255 - means).abs().max() < 0.005 < (full.image / 255 - means).abs().max()


def test_a_photo_is_compared_and_scored_as_the_evaluation_does(screen: Screen) -> None:
    source = FileSource(made_up_scene(), "run", views(), photos=Photos())
    request = replace(REQUEST, view=2, compare="wipe", wipe=0.5, width=64, height=48)
    screen.pump(source).request(1, request, space())
    screen.wait(lambda: len(screen.frames) == 2)
    picture, score = screen.frames
    photo, own = Photos().image(2), render(made_up_scene(), circle_of_cameras()[2]).rgb[0]
    assert picture.image is not None
    assert torch.equal(picture.image[:, 34:], photo[:, 34:])
    assert not torch.equal(picture.image[:, :30], photo[:, :30])
    assert score.image is None and score.psnr == pytest.approx(float(psnr(own, photo / 255)), abs=0.02)


def test_failures_are_told_and_passed(screen: Screen, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        screen.pump(Fragile(RuntimeError("out of memory"), 2)).request(1, REQUEST, space())
        screen.wait(lambda: bool(screen.frames))
    assert screen.complaints == [(1, "out of memory")] * 2
    traces = [record for record in caplog.records if "frame" in record.message]
    assert len(traces) == 1 and traces[0].exc_info is not None


def test_our_own_sentences_are_told_and_not_logged(screen: Screen, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        screen.pump(Fragile(SplatError("The photos are gone"), 1)).request(1, REQUEST, space())
        screen.wait(lambda: bool(screen.frames))
    assert screen.complaints == [(1, "The photos are gone")]
    assert not [record for record in caplog.records if "frame" in record.message]


def test_one_thread_serves_several_browsers(screen: Screen) -> None:
    pump = screen.pump(FileSource(made_up_scene(), "file"))
    for client in (1, 2, 3):
        pump.request(client, replace(REQUEST, width=60 + client), space())
    screen.wait(lambda: len(screen.frames) == 3)
    assert {(frame.job.client, frame.job.width) for frame in screen.frames} == {(1, 61), (2, 62), (3, 63)}
    pump.forget(2)
    for client in (1, 3):
        pump.request(client, replace(REQUEST, width=80), space())
    screen.wait(lambda: len([frame for frame in screen.frames if frame.job.request.width == 80]) >= 2)
    assert {frame.job.client for frame in screen.frames[3:]} == {1, 3}


def test_an_error_while_telling_browsers_does_not_stop_it(screen: Screen) -> None:
    pump = screen.pump(FileSource(made_up_scene(), "file"))
    screen.wait(lambda: screen.ticks >= 2)
    pump.request(1, REQUEST, space())
    screen.wait(lambda: bool(screen.frames))


def test_tasks_take_turns_and_one_that_fails_ends_alone(screen: Screen) -> None:
    pump, done = screen.pump(FileSource(made_up_scene(), "scene")), []

    def task(name: str, fails: bool) -> Iterator[None]:
        for piece in range(3):
            if fails and piece == 1:
                raise RuntimeError(name)
            done.append((name, piece))
            yield

    def both() -> Iterator[None]:
        pump.begin(task("first", fails=True))
        pump.begin(task("second", fails=False))
        yield

    pump.begin(both())
    screen.wait(lambda: ("second", 2) in done)
    assert done == [("first", 0), ("second", 0), ("second", 1), ("second", 2)]


class Busy(FileSource):
    """A run that trains so that each picture is of a new scene and takes more than its share."""

    training = True

    @property
    def generation(self) -> int:
        return int(1000 * time.monotonic())

    @property
    def worked(self) -> float:
        return 0.2 * self.pictures

    def __init__(self) -> None:
        self.pictures = 0
        super().__init__(made_up_scene(), "busy")

    def with_gaussians(self, work: Callable[[Gaussians], Result]) -> Result:
        self.pictures += 1
        return super().with_gaussians(work)


def test_tasks_go_on_beside_a_run_that_always_has_a_newer_picture(screen: Screen) -> None:
    source, done = Busy(), []
    pump = screen.pump(source)
    pump.allowance.share = 0.2

    def task() -> Iterator[None]:
        for piece in range(3):
            done.append((piece, source.pictures))
            yield

    pump.request(1, REQUEST, space())
    screen.wait(lambda: source.pictures >= 2)
    pump.begin(task())
    screen.wait(lambda: len(done) == 3)
    assert done[2][1] - done[0][1] <= 3
