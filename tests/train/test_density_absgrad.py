"""AbsGS: what covers fine detail is split, though the pulls at its centre cancel out."""

from __future__ import annotations

import torch
from density_scenes import CPU, checkerboard, no_looks, row_of_gaussians, settings, train_on

from splat.train.density.absgrad import AbsGrad
from splat.train.density.adc import Adc

EXTENT = 2.0
GENERATOR = torch.Generator()


def test_one_blob_over_a_fine_pattern_is_split_by_absolute_gradients_alone() -> None:
    blob, photo = row_of_gaussians([0.3], [0.9]), checkerboard(4)
    absolute, signed = (kind(settings(), EXTENT, 1, CPU) for kind in (AbsGrad, Adc))
    for strategy in (absolute, signed):
        train_on(strategy, blob, photo)
    split, left = (strategy.adapt(blob, 600, GENERATOR, no_looks) for strategy in (absolute, signed))
    assert split is not None and split.keep is not None and split.keep.tolist() == [False]
    assert split.new is not None and len(split.new["means"]) == 2
    assert left is not None and left.keep is not None and left.keep.tolist() == [True]


def test_the_sum_of_absolute_gradients_is_never_below_the_signed_one() -> None:
    blobs = row_of_gaussians([0.1, 0.2, 0.1], [0.5, 0.9, 0.5])
    strategy = AbsGrad(settings(), EXTENT, 3, CPU)
    train_on(strategy, blobs, checkerboard(7))
    assert (strategy.statistics["absgrad"] >= strategy.statistics["gradient"] * (1 - 1e-5)).all()


def test_splits_need_twice_the_gradient_that_clones_do() -> None:
    tiny, large = 0.0009 * EXTENT, 0.0011 * EXTENT
    strategy = AbsGrad(settings(), EXTENT, 4, CPU)
    strategy.statistics["views"] += 1
    strategy.statistics["gradient"] += torch.tensor([2.1e-4, 1.9e-4, 3e-4, 3e-4])
    strategy.statistics["absgrad"] += torch.tensor([2.1e-4, 9e-4, 3.9e-4, 4.1e-4])
    edit = strategy.adapt(row_of_gaussians([tiny, tiny, large, large], [0.5] * 4), 600, GENERATOR, no_looks)
    assert edit is not None and edit.clone is not None and edit.clone.tolist() == [0]
    assert edit.keep is not None and edit.keep.tolist() == [True, True, True, False]
