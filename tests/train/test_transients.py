"""Passers-by: what is taken for one, what is not, and that the scene is better for passing them over."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from splat.datasets.cache import ImageCache
from splat.datasets.scene import Scene
from splat.train.config import CorrectionsConfig, InitConfig, TrainConfig
from splat.train.corrections.transients import ROUNDS, START, Transients, transient
from splat.train.trainer import Trainer

HEIGHT, WIDTH = 96, 128


def photo() -> Tensor:
    """[1, H, W, 3] fine texture, the same mean colour everywhere."""
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))


def with_someone(photo: Tensor, value: float = 0.0) -> tuple[Tensor, Tensor]:
    """The photo with a silhouette in it, and where [1, H, W] bool."""
    where = torch.zeros(photo.shape[:3], dtype=torch.bool)
    where[:, 20:70, 50:74] = True
    return torch.where(where[..., None], value, photo), where


def test_someone_is_found_with_little_around_them() -> None:
    scene = photo()
    shown, where = with_someone(scene)
    out = transient(scene, shown, None)
    assert out[where].all() and (out & ~where).float().mean() < 0.06


def test_detail_that_is_yet_to_be_learned_is_not_taken_for_someone() -> None:
    blurred = torch.full((1, HEIGHT, WIDTH, 3), 0.5)
    # Pixels are off by a quarter of the range in the mean, and by half of it at most.
    assert (blurred - photo()).abs().mean() > 0.2
    assert not transient(blurred, photo(), None).any()


def test_a_scene_that_is_off_everywhere_loses_nothing() -> None:
    assert not transient(photo() * 0.4, photo(), None).any()


def test_what_is_masked_already_says_nothing_about_the_rest() -> None:
    scene, mask = photo(), torch.ones(1, HEIGHT, WIDTH, dtype=torch.uint8)
    shown, where = with_someone(scene)
    mask[where] = 0
    assert not transient(scene, shown, mask).any()
    assert not transient(scene, shown, torch.zeros_like(mask)).any()


def test_masks_are_joined_and_everything_counts_at_first_and_in_some_rounds() -> None:
    photos, scene = 10, photo()
    shown, where = with_someone(scene)
    mask = torch.ones(1, HEIGHT, WIDTH, dtype=torch.uint8)
    mask[:, :, :8] = 0
    transients = Transients(photos, iterations=300)
    passed_over = {}
    for step in range(0, 300, photos):
        transients.step = step
        kept = transients.mask(0, scene, (shown * 255).to(torch.uint8), mask)
        assert kept is not None and not kept[:, :, :8].any()
        passed_over[step] = not kept[where].any()
    assert not any(passed for step, passed in passed_over.items() if step < START * 300)
    late = [passed for step, passed in passed_over.items() if step >= START * 300]
    assert abs(sum(late) / len(late) - (1 - 1 / ROUNDS)) < 0.06


@pytest.mark.slow
def test_a_scene_is_better_for_passing_people_over(scene: Scene) -> None:
    original, changed = scene.cache, dataclasses.replace(scene)
    generator = torch.Generator().manual_seed(2)
    people: dict[int, tuple[int, Tensor]] = {}
    for view in scene.train[::3]:
        people[view] = int(torch.randint(8, 44, (1,), generator=generator)), torch.rand(3, generator=generator)

    def decode(index: int) -> tuple[Tensor, Tensor | None]:
        pixels = original.get(index)[0].clone()
        if index in people:
            left, colour = people[index]
            pixels[6:44, left : left + 12] = (255 * colour).to(torch.uint8)
        return pixels, None

    changed.cache = ImageCache(decode, 1 << 20)
    config = TrainConfig(400, max_gaussians=800, strategy="adc", init=InitConfig(few_points=10))
    passing = dataclasses.replace(config, corrections=CorrectionsConfig(transients=True))
    without, trainer = Trainer(changed, config), Trainer(changed, passing)
    without.run()
    trainer.run()
    assert trainer.evaluate().psnr > without.evaluate().psnr + 0.3
    found = there = both = 0
    for view in scene.train:
        look = trainer._look(view)
        out = transient(look.rgb.detach(), look.photo(), None)[0]
        where = torch.zeros_like(out)
        if view in people:
            where[6:44, people[view][0] : people[view][0] + 12] = True
        found, there, both = found + int(out.sum()), there + int(where.sum()), both + int((out & where).sum())
    # The cells beside someone are passed over as well: a ring of two pixels, of photos as small as these.
    assert both > 0.85 * there and both > 0.5 * found
