"""Refined poses: the movement, its gradient, that the mean stays, that worse poses are mended, and that runs resume."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from made_up import made_up_scene, write_capture

from splat.cameras import Cameras, moved, pixels
from splat.datasets.scene import Scene, View, open_scene
from splat.render import render
from splat.train.config import CorrectionsConfig, InitConfig, TrainConfig
from splat.train.corrections.poses import Poses
from splat.train.frame import Frame
from splat.train.listeners import Listener, StepReport
from splat.train.run import describe_cameras, train
from splat.train.trainer import Trainer

REFINING = TrainConfig(
    iterations=400,
    max_gaussians=400,
    init=InitConfig(few_points=10),
    corrections=CorrectionsConfig(poses=True),
)


class StopAt(Listener):
    """Ends a run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.step == self.step:
            trainer.request_stop()


def worse(scene: Scene, degrees: float, shift: float) -> Scene:
    """The scene with every training pose turned and displaced by so much, in directions drawn at random."""
    generator = torch.Generator().manual_seed(1)
    views = list(scene.views)
    for view in scene.train:
        directions = torch.nn.functional.normalize(torch.randn(2, 3, generator=generator), dim=1).double()
        twist = torch.cat([math.radians(degrees) * directions[0], shift * directions[1]])
        viewmat = moved(views[view].camera.viewmats[0].double(), twist).float()
        views[view] = View(views[view].name, dataclasses.replace(views[view].camera, viewmats=viewmat[None]))
    return dataclasses.replace(scene, views=views)


def off(found: list[Cameras], truth: list[Cameras], scene: Scene) -> float:
    """Mean distance, px, between where cameras show the made-up blobs and where the true ones do."""
    means = made_up_scene().transform(scene.normalization).means
    places = [
        torch.stack(
            [pixels(camera, means @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]) for camera in cameras]
        )
        for cameras in (found, truth)
    ]
    return float((places[0] - places[1]).norm(dim=-1).mean())


def test_a_camera_turns_about_its_centre_and_moves_along_the_worlds_axes(scene: Scene) -> None:
    camera = scene.views[3].camera
    viewmat = camera.viewmats[0].double()
    twist = torch.tensor([0.0, 0.3, 0.0, 0.1, -0.2, 0.05], dtype=torch.float64)
    after = dataclasses.replace(camera, viewmats=moved(viewmat, twist)[None].float())
    torch.testing.assert_close(after.positions, camera.positions + twist[3:].float())
    turn = torch.linalg.matrix_exp(torch.tensor([[0, 0, 0.3], [0, 0, 0], [-0.3, 0, 0]]))
    torch.testing.assert_close(after.forwards[0], turn @ camera.forwards[0])
    torch.testing.assert_close(moved(viewmat, torch.zeros(6, dtype=torch.float64)), viewmat, rtol=0, atol=1e-7)


def test_its_derivative_is_right_at_zero_and_elsewhere(scene: Scene) -> None:
    viewmat = scene.views[0].camera.viewmats[0].double()
    for length in (0.0, 1e-9, 0.7):
        twist = torch.full((6,), length, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda twist: moved(viewmat, twist), twist)


def test_a_frames_gradient_in_its_cameras_is_that_of_rendering() -> None:
    gaussians = made_up_scene()
    camera = Cameras(torch.eye(4)[None], torch.tensor([[[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]]), 64, 48)
    camera.viewmats[:, 2, 3] = 2
    weights = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    frame = Frame(gaussians, camera, sh_degree=0, antialias="classic")
    (frame.render().rgb * weights).sum().backward()
    leaf = dataclasses.replace(camera, viewmats=camera.viewmats.clone().requires_grad_())
    (render(gaussians, leaf).rgb * weights).sum().backward()
    assert leaf.viewmats.grad is not None and leaf.viewmats.grad.norm() > 1
    torch.testing.assert_close(frame.viewmats_gradient(), leaf.viewmats.grad, rtol=1e-5, atol=1e-4)


def test_cameras_as_a_whole_stay_where_they_are(scene: Scene) -> None:
    poses = Poses(scene, 100, torch.device("cpu"))
    poses.twists += torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    centres = torch.cat([scene.views[view].camera.positions for view in scene.train])
    poses.twists[:, 3:] += 0.1 * (centres - centres.mean(dim=0))
    for view in (scene.train[0], scene.test[0]):
        camera = scene.views[view].camera
        torch.testing.assert_close(poses.camera(view, camera).viewmats, camera.viewmats, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The made-up scene from 30 sides: with ten, each of the photos could be right by itself."""
    return open_scene(write_capture(tmp_path_factory.mktemp("many") / "capture", views=30), test_every=10)


@pytest.mark.slow
def test_worse_poses_are_mended(many: Scene) -> None:
    truth = [many.views[view].camera for view in many.train]
    spoilt = worse(many, degrees=1.0, shift=0.01 * many.extent)
    trainer = Trainer(spoilt, REFINING)
    trainer.run()
    before = off([spoilt.views[view].camera for view in many.train], truth, many)
    after = off([trainer.corrections.camera(view, spoilt.views[view].camera) for view in many.train], truth, many)
    assert before > 0.8
    assert after < 0.5 * before


@pytest.mark.slow
def test_a_pose_that_is_all_wrong_is_named(many: Scene) -> None:
    views = list(many.views)
    lost = many.train[4]
    other = views[many.train[-6]].camera
    views[lost] = View(views[lost].name, other)
    trainer = Trainer(dataclasses.replace(many, views=views), dataclasses.replace(REFINING, iterations=120))
    assert trainer.run() == "done"
    (remark,) = trainer.corrections.remarks()
    assert f"does not match 1 photo, whose pose must be too wrong to be refined: {views[lost].name};" in remark


def test_good_poses_are_not_complained_of(scene: Scene) -> None:
    trainer = Trainer(scene, dataclasses.replace(REFINING, iterations=60))
    trainer.run()
    assert trainer.corrections.remarks() == []


@pytest.mark.slow
def test_a_run_writes_the_cameras_it_refined_and_resumes_exactly(capture: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(REFINING, iterations=20)
    whole = train(capture, tmp_path / "whole", config)
    train(capture, tmp_path / "halves", config, listeners=[StopAt(10)])
    resumed = train(capture, tmp_path / "halves", resume=True)
    assert (resumed.reason, whole.reason) == ("done", "done")
    written = [json.loads((tmp_path / name / "cameras.json").read_text())["views"] for name in ("whole", "halves")]
    assert written[0] == written[1]
    captured = describe_cameras(whole.capture)["views"]
    for after, before in zip(written[0], captured, strict=True):
        moved = torch.tensor(after["viewmat"]) - torch.tensor(before["viewmat"])
        assert bool(moved.abs().max() > 1e-4) == (before["split"] == "train")
