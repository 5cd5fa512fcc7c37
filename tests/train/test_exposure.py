"""Exposures: the map and its gradients, clipping, that known ones are found, and that the scene keeps its colours."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from made_up import made_up_scene
from torch import Tensor

from splat.datasets.cache import ImageCache
from splat.datasets.scene import Scene
from splat.evaluate.metrics import psnr
from splat.ops.photometric import photometric_loss
from splat.train.config import CorrectionsConfig, InitConfig, TrainConfig
from splat.train.corrections.exposure import Exposure, affine, clipped
from splat.train.corrections.per_photo import ordered_sum
from splat.train.frame import Frame
from splat.train.trainer import Trainer

CPU = torch.device("cpu")
AFFINE = TrainConfig(
    iterations=300,
    max_gaussians=400,
    sh_degree=0,
    init=InitConfig(few_points=10),
    corrections=CorrectionsConfig(exposure="affine"),
)


def exposures(scene: Scene) -> Tensor:
    """[V, 3, 4] one for each view: gains, tints and a little crosstalk; the training views' mean is the identity."""
    generator = torch.Generator().manual_seed(3)
    deviations = torch.zeros(len(scene.views), 3, 4)
    deviations[..., :3] = 0.03 * torch.randn(len(scene.views), 3, 3, generator=generator)
    gains = 0.3 * torch.tensor([1.0, -1.0]).repeat(len(scene.views) // 2)
    deviations[..., :3] += gains[:, None, None] * torch.eye(3)
    return torch.eye(3, 4) + deviations - deviations[scene.train].mean(0)


def exposed(scene: Scene) -> Scene:
    """The scene as it would be photographed with `exposures`."""
    matrices, original, changed = exposures(scene), scene.cache, dataclasses.replace(scene)

    def decode(index: int) -> tuple[Tensor, Tensor | None]:
        photo = affine(original.get(index)[0][None].float() / 255, matrices[index])[0]
        return (photo.clamp(0, 1) * 255).round().to(torch.uint8), None

    changed.cache = ImageCache(decode, 1 << 20)
    return changed


def test_the_gradients_are_those_of_the_map() -> None:
    generator = torch.Generator().manual_seed(0)
    rgb = torch.rand(1, 5, 7, 3, generator=generator, dtype=torch.float64).requires_grad_()
    matrix = torch.randn(3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    expected = rgb @ matrix[:, :3].T + matrix[:, 3]
    torch.testing.assert_close(affine(rgb, matrix), expected)
    assert torch.autograd.gradcheck(affine, (rgb, matrix))


def test_clipping_lets_only_gradients_back_inside() -> None:
    rgb = torch.tensor([-0.5, -0.5, 0.5, 0.5, 1.5, 1.5], requires_grad=True)
    shown = clipped(rgb)
    shown.backward(torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]))
    assert shown.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    # A step goes against the gradient: where it is -1, the colour would rise.
    assert rgb.grad is not None and rgb.grad.tolist() == [0, -1, 1, -1, 1, 0]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1001])
def test_the_ordered_sum_is_the_sum(count: int) -> None:
    terms = torch.randint(-100, 100, (2, 3, count), generator=torch.Generator().manual_seed(count)).double()
    assert torch.equal(ordered_sum(terms.clone()), terms.sum(-1))


@pytest.mark.slow
def test_known_exposures_are_found(scene: Scene) -> None:
    truth, changed = made_up_scene().transform(scene.normalization), exposed(scene)
    rounds = 80
    correction = Exposure(len(scene.views), len(scene.train), rounds * len(scene.train), CPU)
    frames = {view: Frame(truth, scene.views[view].camera, sh_degree=None, antialias="classic") for view in scene.train}
    renders = {view: frames[view].render().rgb.detach() for view in scene.train}
    for turn in range(rounds):
        for place, view in enumerate(scene.train):
            photometric_loss(correction.image(view, renders[view]), changed.image(view)[None]).backward()
            correction.update(view, turn * len(scene.train) + place + 1, frames[view])
    found = torch.stack([correction.matrices.ask(view).detach() for view in scene.train])
    wanted = exposures(scene)[scene.train]
    assert (wanted - torch.eye(3, 4)).abs().max() > 0.25
    assert (found - wanted).abs().mean() < 0.015
    for view, matrix in zip(scene.train, found, strict=True):
        assert psnr(affine(renders[view], matrix)[0], changed.image(view).float() / 255) > 37


def test_a_photo_alone_keeps_the_scenes_colours() -> None:
    correction = Exposure(views=1, photos=1, iterations=10, device=CPU)
    rgb, photo = torch.full((1, 16, 16, 3), 0.4), torch.full((1, 16, 16, 3), 0.8)
    for step in range(1, 11):
        photometric_loss(correction.image(0, rgb), photo).backward()
        correction.matrices.move(0, step)
    torch.testing.assert_close(correction.image(0, rgb).detach(), rgb)


@pytest.mark.slow
def test_a_run_finds_them_and_the_scene_keeps_its_own_colours(scene: Scene) -> None:
    changed = exposed(scene)
    without = Trainer(changed, dataclasses.replace(AFFINE, corrections=CorrectionsConfig()))
    trainer = Trainer(changed, AFFINE)
    without.run()
    trainer.run()
    assert trainer.evaluate().psnr > without.evaluate().psnr + 0.8
    assert trainer.evaluate().psnr_corrected > without.evaluate().psnr_corrected + 0.2
    (correction,) = trainer.corrections.each
    assert isinstance(correction, Exposure)
    found = torch.stack([correction.matrices.ask(view).detach() for view in scene.train])
    torch.testing.assert_close(found.mean(0), torch.eye(3, 4), atol=1e-5, rtol=0)
    gains = [matrices.diagonal(dim1=1, dim2=2).mean(1) for matrices in (found, exposures(scene)[scene.train])]
    assert torch.corrcoef(torch.stack(gains))[0, 1] > 0.9
    # What the scene shows is the photos before they were changed: fitting its colours to them gains next to nothing.
    trainer.scene = scene
    scores = trainer.evaluate()
    assert scores.psnr > scores.psnr_corrected - 0.7


def test_photos_without_exif_will_do(scene: Scene) -> None:
    """The made-up photos are PNGs that say nothing of their exposure."""
    trainer = Trainer(scene, dataclasses.replace(AFFINE, iterations=3))
    assert trainer.run() == "done"
